//! What is around every page: where one is, what file it is, whose eyes these are.

use super::answer::Person;
use super::params::Params;
use super::view;
use crate::ids::TokenScope;
use serde::Deserialize;
use serde_json::Value;

/// Around a page.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    pub path: &'static str,
    pub params: Params,
    /// The app that is looked at; `None`: which one is not said, and there are several or none.
    pub app: Option<String>,
    /// All apps that may be looked at.
    pub apps: Vec<String>,
    /// The reader has signed in, and may sign out.
    pub signed_in: bool,
    /// What the reader may see: nothing else is linked.
    pub scope: TokenScope,
    /// The newest log position that is shown.
    pub seq: Option<String>,
    pub rebuilding: bool,
    /// What could not be shown, once each.
    pub notices: Vec<String>,
    /// The document and its variables, opened in GraphiQL.
    pub graphiql: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Told {
    seq: Option<String>,
    rebuilding: bool,
}

impl Frame {
    /// Of a page that asked nothing.
    pub fn bare(path: &'static str, params: Params, signed_in: bool, scope: TokenScope) -> Self {
        Self { path, params, signed_in, scope, ..Self::default() }
    }

    /// Reads it from an answer.
    pub fn of(path: &'static str, params: Params, signed_in: bool, scope: TokenScope, answer: &Value) -> Self {
        let told: Told = Told::deserialize(&answer["extensions"]["chatfold"]).unwrap_or_default();
        let apps: Vec<String> = answer["data"]["apps"]
            .as_array()
            .map(|apps| apps.iter().filter_map(|app| app["appId"].as_str().map(str::to_owned)).collect())
            .unwrap_or_default();
        let app = params.get("appId").or(if let [only] = apps.as_slice() { Some(only) } else { None });
        let app = app.map(str::to_owned);
        let mut notices: Vec<String> = Vec::new();
        for error in answer["errors"].as_array().into_iter().flatten() {
            let message = error["message"].as_str().unwrap_or_default().to_owned();
            if !notices.contains(&message) {
                notices.push(message);
            }
        }
        let Told { seq, rebuilding } = told;
        Self { path, params, app, apps, signed_in, scope, seq, rebuilding, notices, graphiql: String::new() }
    }

    /// The address of a page about the app looked at.
    pub fn to(&self, path: &str) -> String {
        self.link(path, &[])
    }

    /// The address of a page about something of the app looked at.
    pub fn link(&self, path: &str, about: &[(&str, &str)]) -> String {
        let app = self.app.as_deref().map(|app| ("appId", app));
        view::href(path, app.into_iter().chain(about.iter().copied()))
    }

    /// The address of a conversation of the app looked at: a group's, unless one of the two of a one to one is named.
    /// The id alone might be that of several.
    pub fn conversation(&self, id: &str, person: Option<&Person>) -> String {
        let kind = if person.is_some() { "USER" } else { "GROUP" };
        let uid = person.map(|person| ("uid", person.uid.as_str()));
        let about = [("conversationId", id), ("receiverType", kind)].into_iter().chain(uid);
        self.link("/conversation", &about.collect::<Vec<_>>())
    }

    /// The address of this page, one parameter changed.
    pub fn here(&self, name: &str, value: &str) -> String {
        self.params.with(name, Some(value).filter(|value| !value.is_empty())).href(self.path)
    }

    /// The first page of this list, one filter changed.
    pub fn filtered(&self, name: &str, value: &str) -> String {
        let value = Some(value).filter(|value| !value.is_empty());
        self.params.with(name, value).with("after", None).with("before", None).href(self.path)
    }

    /// A value of the query string, to fill a form with.
    pub fn param(&self, name: &str) -> &str {
        self.params.get(name).unwrap_or_default()
    }

    /// Whether the reader may see why the tables say what they say.
    pub fn may_explain(&self) -> bool {
        self.scope >= TokenScope::Admin
    }

    /// Whether the navigation marks a place as the one that is looked at.
    pub fn is_at(&self, paths: &[&str]) -> bool {
        paths.contains(&self.path)
    }
}
