//! The cookbook: the questions that people ask of such a file, each answered by one document. `tests/cookbook/` holds
//! the documents, the variables they are asked with, and their answers over one story; `schema/cookbook.md` shows them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use chatfold::graphql::{Api, Caller, Limits};
use harness::Harness;
use serde_json::{Map, Value};
use std::fmt::Write;

const STORY: &str = "one_story_answers_the_cookbook";
/// Lines of an answer that the page shows.
const SHOWN: usize = 60;

struct Recipe {
    /// Such as `01-last-messages`.
    name: String,
    document: String,
    variables: Value,
}

impl Recipe {
    /// The comment above the document: the question, and what to know.
    fn told(&self) -> (String, String) {
        let comment: Vec<&str> =
            self.document.lines().map_while(|line| line.strip_prefix('#')).map(str::trim).collect();
        let end = comment.iter().position(|line| line.is_empty()).unwrap_or(comment.len());
        (comment[..end].join(" "), comment[end..].join(" ").trim().to_owned())
    }

    fn query(&self) -> &str {
        self.document.split_once("\n\n").unwrap().1.trim()
    }

    fn asks_pages(&self) -> bool {
        self.document.contains("$first: Int")
    }
}

fn recipes() -> Vec<Recipe> {
    let variables: Map<String, Value> =
        serde_json::from_str(&std::fs::read_to_string("tests/cookbook/variables.json").unwrap()).unwrap();
    let mut recipes: Vec<Recipe> = std::fs::read_dir("tests/cookbook")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "graphql"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let document = std::fs::read_to_string(&path).unwrap();
            Recipe { variables: variables[&name].clone(), name, document }
        })
        .collect();
    recipes.sort_by(|a, b| a.name.cmp(&b.name));
    recipes
}

fn told() -> Harness {
    let harness = Harness::new();
    harness.ingest(harness::story(STORY).iter().map(String::as_str));
    harness
}

/// The whole answer.
fn ask(api: &Api, document: &str, variables: &Value) -> Value {
    let request =
        async_graphql::Request::new(document).variables(async_graphql::Variables::from_json(variables.clone()));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    serde_json::from_str(&runtime.block_on(api.execute_text(request, Caller::default()))).unwrap()
}

fn data(api: &Api, recipe: &Recipe, variables: &Value) -> Value {
    let answer = ask(api, &recipe.document, variables);
    assert!(answer.get("errors").is_none(), "{}: {answer:#}", recipe.name);
    answer["data"].clone()
}

/// Compares a committed file with what it should be; writes it instead when asked to.
fn committed(path: &str, expected: &str) -> Option<String> {
    if std::env::var_os("CHATFOLD_UPDATE").is_some() {
        std::fs::write(path, expected).unwrap();
    }
    let actual = std::fs::read_to_string(path).unwrap_or_default();
    let differing = actual.lines().zip(expected.lines()).find(|(a, b)| a != b);
    (actual != expected).then(|| format!("{path} is not what is answered: {differing:?}"))
}

#[test]
fn there_are_twenty_questions_each_with_what_to_know() {
    let recipes = recipes();
    let numbers: Vec<&str> = recipes.iter().map(|recipe| &recipe.name[..2]).collect();
    let twenty: Vec<String> = (1..=20).map(|number| format!("{number:02}")).collect();
    assert_eq!(numbers, twenty);
    for recipe in &recipes {
        let (question, notes) = recipe.told();
        assert!(question.len() > 20 && notes.len() > 20, "{}: {question:?}, {notes:?}", recipe.name);
        assert!(recipe.query().starts_with("query ") && recipe.variables.is_object(), "{}", recipe.name);
    }
}

/// With the limits that hold unless somebody sets others.
#[test]
fn each_question_is_answered_by_one_request() {
    let harness = told();
    let api = Api::open(&harness.path(), Limits::default()).unwrap();
    let mut page = String::from(
        "# Cookbook\n\nTwenty questions, each asked with one document. The answers are over the story in `fixtures/stories/one_story_answers_the_cookbook/`. \
         To ask the questions yourself, run `chatfold ingest fixtures/stories/one_story_answers_the_cookbook --db shop.db` \
         and then `chatfold serve --db shop.db`, and paste a document and its variables into GraphiQL. \
         Long answers are cut here: `tests/cookbook/` holds the whole answers. Generated: see tests/cookbook.rs.\n",
    );
    let mut wrong = Vec::new();
    for (number, recipe) in (1..).zip(recipes()) {
        let answer = format!("{:#}\n", data(&api, &recipe, &recipe.variables));
        wrong.extend(committed(&format!("tests/cookbook/{}.json", recipe.name), &answer));
        let (question, notes) = recipe.told();
        let mut shown: String = answer.lines().take(SHOWN).fold(String::new(), |all, line| all + line + "\n");
        if answer.lines().count() > SHOWN {
            writeln!(shown, "… ({} lines more)", answer.lines().count() - SHOWN).unwrap();
        }
        write!(
            page,
            "\n## {number}. {question}\n\n{notes}\n\n```graphql\n{}\n```\n\n```json\n{:#}\n```\n\nanswers\n\n```json\n{shown}```\n",
            recipe.query(),
            recipe.variables,
        )
        .unwrap();
    }
    wrong.extend(committed("schema/cookbook.md", &page));
    let update = "CHATFOLD_UPDATE=1 cargo test --test cookbook, read the answers, then commit them";
    assert!(wrong.is_empty(), "{}\n{update}", wrong.join("\n"));
}

#[test]
fn a_longer_page_takes_no_more_statements() {
    let harness = told();
    let api = Api::open(&harness.path(), Limits::default()).unwrap();
    let mut paged = 0;
    for recipe in recipes().iter().filter(|recipe| recipe.asks_pages()) {
        let cost = |first: u32| {
            let mut variables = recipe.variables.clone();
            variables["first"] = first.into();
            let before = api.statements();
            data(&api, recipe, &variables);
            api.statements() - before
        };
        let (few, many) = (cost(3), cost(50));
        assert!(many <= few, "{}: {few} statements, then {many}", recipe.name);
        paged += 1;
    }
    assert!(paged > 12, "{paged}");
}

/// Nothing of the other app, whose group and message have the same ids.
#[test]
fn no_answer_shows_another_app() {
    let harness = told();
    let api = Api::open(&harness.path(), Limits::default()).unwrap();
    for recipe in recipes() {
        let answer = data(&api, &recipe, &recipe.variables).to_string();
        assert!(!answer.contains("Ada Grün") && !answer.contains("Coffee corner"), "{}", recipe.name);
    }
    let other = ask(&api, r#"{group(appId: "2489f0shop02", guid: "tea-talk") {name}}"#, &Value::Null);
    assert_eq!(other["data"]["group"]["name"], "Coffee corner");
}
