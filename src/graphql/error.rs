//! Errors, with the codes of the contract. Causes are logged where they arise, and never sent.

use crate::store::sqlite::read::ReadError;
use async_graphql::{Error, ErrorExtensionValues, ErrorExtensions, PathSegment, ServerError, Value};

/// What a resolver gives.
pub type Result<T> = async_graphql::Result<T>;

/// `extensions.code` of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    BadInput,
    AppIdRequired,
    BeforeHistory,
    Forbidden,
    PersistedQueryNotFound,
    TooComplex,
    Timeout,
    Busy,
    Internal,
}

impl Code {
    pub(super) const ALL: [Self; 9] = [
        Self::BadInput,
        Self::AppIdRequired,
        Self::BeforeHistory,
        Self::Forbidden,
        Self::PersistedQueryNotFound,
        Self::TooComplex,
        Self::Timeout,
        Self::Busy,
        Self::Internal,
    ];

    /// The word in the answer.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadInput => "BAD_INPUT",
            Self::AppIdRequired => "APP_ID_REQUIRED",
            Self::BeforeHistory => "BEFORE_HISTORY",
            Self::Forbidden => "FORBIDDEN",
            Self::PersistedQueryNotFound => "PERSISTED_QUERY_NOT_FOUND",
            Self::TooComplex => "TOO_COMPLEX",
            Self::Timeout => "TIMEOUT",
            Self::Busy => "BUSY",
            Self::Internal => "INTERNAL",
        }
    }

    /// The code of that word.
    pub(super) fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == word)
    }

    /// The code of an error of ours.
    pub fn of(error: &Error) -> Self {
        let told = error.extensions.as_ref().and_then(|values| values.get("code"));
        Self::ALL.into_iter().find(|code| told == Some(&code.as_str().into())).unwrap_or(Self::Internal)
    }

    /// An error of this code.
    pub fn error(self, message: impl Into<String>) -> Error {
        Error::new(message).extend_with(|_, values| values.set("code", self.as_str()))
    }

    /// The same, about the whole request.
    pub fn server_error(self, message: impl Into<String>) -> ServerError {
        let mut error = ServerError::new(message, None);
        self.mark(&mut error);
        error
    }

    fn mark(self, error: &mut ServerError) {
        error.extensions.get_or_insert_with(ErrorExtensionValues::default).set("code", self.as_str());
    }
}

/// An argument that cannot be used.
pub fn bad_input(argument: &str, expected: &str) -> Error {
    Code::BadInput.error(format!("{argument}: {expected}"))
}

/// What is said where reading fails.
pub fn describe(error: ReadError) -> (Code, &'static str) {
    match error {
        ReadError::Busy => (Code::Busy, "all database readers are busy. Ask again in a moment"),
        ReadError::Timeout => (
            Code::Timeout,
            "the query took longer than the server allows. Ask for fewer items, or for a shorter time span",
        ),
        ReadError::TooManyRows => (
            Code::TooComplex,
            "the query reads more rows than the server allows (setting graphql.rows). Ask for fewer items, or use a narrower filter",
        ),
        ReadError::TooManyBytes => (
            Code::TooComplex,
            "the query reads more bytes than the server allows (setting graphql.bytes). Ask for fewer items at once, or leave out text, data, metadata, edits and body",
        ),
        ReadError::Failed => (Code::Internal, "reading the database failed. The server's log has the cause"),
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        let (code, message) = describe(error);
        code.error(message)
    }
}

/// Gives a code to errors of the GraphQL layer itself: all are about the request.
pub fn complete(error: &mut ServerError) {
    let coded = error.extensions.as_ref().is_some_and(|values| matches!(values.get("code"), Some(Value::String(_))));
    if !coded {
        let too_complex = error.message == "Query is nested too deep."
            || error.message.contains("recursion limit")
            || error.message.starts_with("The number of directives");
        if too_complex { Code::TooComplex } else { Code::BadInput }.mark(error);
    }
    if error.message.chars().count() > 300 {
        error.message = error.message.chars().take(299).chain(['…']).collect();
    }
}

/// Of what a token may not see, one error a field: the same of every row says nothing more.
pub fn once_a_field(errors: &mut Vec<ServerError>) {
    let forbidden = Value::from(Code::Forbidden.as_str());
    let mut told: Vec<Vec<String>> = Vec::new();
    errors.retain(|error| {
        if error.extensions.as_ref().and_then(|values| values.get("code")) != Some(&forbidden) {
            return true;
        }
        let fields = error.path.iter().filter_map(|part| match part {
            PathSegment::Field(name) => Some(name.clone()),
            PathSegment::Index(_) => None,
        });
        let fields: Vec<String> = fields.collect();
        let new = !told.contains(&fields);
        if new {
            told.push(fields);
        }
        new
    });
}

/// A value that is not of its argument's type. The specification has it refuse the whole request: an answer with part
/// of the data would hide that nothing of what was asked is sure.
pub fn is_request_error(error: &ServerError) -> bool {
    error.path.is_empty() || error.message.starts_with("Failed to parse \"")
}
