//! `/ask`: the cookbook's questions, each as a query to open and change.

use super::answer::{GroupName, List, Person};
use super::frame::Frame;
use super::page::{Page, Show};
use super::params::Params;
use super::view;
use askama::Template;
use rust_embed::RustEmbed;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::sync::LazyLock;

pub const PAGE: Page = Page::of::<Ask>("/ask", include_str!("ask.graphql"));

/// The queries that the tests answer and the documentation shows, with what each is answered.
#[derive(RustEmbed)]
#[folder = "tests/cookbook"]
struct Cookbook;

static RECIPES: LazyLock<Vec<Recipe>> = LazyLock::new(recipes);

#[derive(Template)]
#[template(path = "ask.html")]
pub struct Ask {
    frame: Frame,
    recipes: &'static [Recipe],
    /// Variables by name: ids that the app has.
    ids: Vec<(&'static str, String)>,
}

#[derive(Deserialize)]
pub struct Answer {
    groups: Option<List<GroupName>>,
    users: Option<List<Person>>,
    conversations: Option<List<Conversation>>,
    messages: Option<List<Message>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Conversation {
    conversation_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    message_id: String,
}

/// A question of the cookbook.
struct Recipe {
    question: String,
    /// What else there is to know.
    notes: Vec<String>,
    query: String,
    variables: Value,
}

impl Show for Ask {
    type Answer = Answer;

    fn variables(params: &Params, variables: &mut Map<String, Value>) {
        variables.insert("named".to_owned(), params.get("appId").is_some().into());
    }

    fn show(frame: Frame, answer: Answer) -> Option<Self> {
        let ids = [
            ("app", frame.app.clone()),
            ("guid", first(answer.groups).map(|it| it.guid)),
            ("uid", first(answer.users).map(|it| it.uid)),
            ("conversation", first(answer.conversations).map(|it| it.conversation_id)),
            ("message", first(answer.messages).map(|it| it.message_id)),
        ];
        let ids = ids.into_iter().filter_map(|(name, id)| Some((name, id?))).collect();
        Some(Self { frame, recipes: &RECIPES, ids })
    }
}

impl Ask {
    /// Opens the query in GraphiQL, about the app that is looked at.
    fn graphiql(&self, recipe: &Recipe) -> String {
        let mut variables = recipe.variables.clone();
        for (name, id) in &self.ids {
            if let Some(asked) = variables.get_mut(name) {
                *asked = id.as_str().into();
            }
        }
        let variables = serde_json::to_string_pretty(&variables).unwrap_or_default();
        view::href("/graphql", [("query", recipe.query.as_str()), ("variables", variables.as_str())])
    }
}

fn first<T>(list: Option<List<T>>) -> Option<T> {
    list?.nodes.into_iter().next()
}

fn recipes() -> Vec<Recipe> {
    let text = |name: &str| Cookbook::get(name).map(|file| String::from_utf8_lossy(&file.data).into_owned());
    let variables: Value = text("variables.json").and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let mut names: Vec<_> = Cookbook::iter().filter(|name| name.ends_with(".graphql")).collect();
    names.sort();
    let recipe = |name: &str| {
        let (mut said, query) = read(&text(name)?);
        let question = if said.is_empty() { name.to_owned() } else { said.remove(0) };
        Some(Recipe { question, notes: said, query, variables: variables[name.trim_end_matches(".graphql")].clone() })
    };
    names.iter().filter_map(|name| recipe(name)).collect()
}

/// The paragraphs of the comment that a query begins with, and the query.
fn read(text: &str) -> (Vec<String>, String) {
    let comment: Vec<&str> = text.lines().take_while(|line| line.starts_with('#')).collect();
    let query = text.lines().skip(comment.len()).collect::<Vec<_>>().join("\n");
    let lines: Vec<&str> = comment.iter().map(|line| line.trim_start_matches('#').trim()).collect();
    let paragraphs = lines.split(|line| line.is_empty()).filter(|lines| !lines.is_empty()).map(|lines| lines.join(" "));
    (paragraphs.collect(), query.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_begins_with_its_question() {
        let (said, query) = read("# Who is\n# it?\n#\n# Nobody.\n\nquery A { a }\n");
        assert_eq!((said, query), (vec!["Who is it?".to_owned(), "Nobody.".to_owned()], "query A { a }".to_owned()));
    }

    #[test]
    fn every_recipe_has_a_question_and_variables() {
        assert!(!RECIPES.is_empty());
        for recipe in RECIPES.iter() {
            assert!(!recipe.question.ends_with(".graphql") && recipe.variables.is_object(), "{}", recipe.question);
        }
    }
}
