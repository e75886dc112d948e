//! Which layer each setting comes from: the layers are put together here, and what came of it is kept.

use super::{Config, ConfigError};
use clap::ArgMatches;
use clap::parser::ValueSource;
use serde::Serialize;
use serde_json::Value;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// What stands for a secret that is set.
const MASK: &str = "[secret]";

/// A setting in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key of the configuration file, such as `body_limit`, or `graphql.depth` for `depth` in the table `[graphql]`.
    pub key: &'static str,
    /// The value as the configuration file would say it. Null: not set, and there is no default.
    pub value: Value,
    pub origin: Origin,
    /// Whether the value is hidden.
    pub is_secret: bool,
}

/// The layer that a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Flag,
    Environment,
    File,
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => "file",
            Self::Default => "default",
        })
    }
}

impl Setting {
    /// The value in words. `None`: not set, and there is no default.
    pub fn text(&self) -> Option<String> {
        match &self.value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }
}

/// The names of the settings that the command line gives. Other flags have their values from variables.
#[derive(Debug, Clone, Default)]
pub struct Given(Vec<String>);

impl Given {
    /// Reads the names off a parsed command line.
    pub fn of(matches: &ArgMatches) -> Self {
        let is_given = |name: &&str| matches.value_source(name) == Some(ValueSource::CommandLine);
        Self(matches.ids().map(clap::Id::as_str).filter(is_given).map(str::to_owned).collect())
    }
}

/// The settings as they are chosen, one after the other.
pub(super) struct Choices {
    given: Given,
    pub made: Vec<Setting>,
}

impl Choices {
    pub fn new(given: &Given) -> Self {
        Self { given: given.clone(), made: Vec::new() }
    }

    /// The flag or variable, else the key of the file, else the default.
    pub fn choose<T: Serialize>(&mut self, key: &'static str, flag: Option<T>, file: Option<T>, or: T) -> T {
        let (origin, told) = self.layer(key, flag, file);
        let value = told.unwrap_or(or);
        self.note(key, &value, origin);
        value
    }

    /// The same for a setting that has no default.
    pub fn maybe<T: Serialize>(&mut self, key: &'static str, flag: Option<T>, file: Option<T>) -> Option<T> {
        let (origin, value) = self.layer(key, flag, file);
        self.note(key, &value, origin);
        value
    }

    /// The same for a number, which must lie within bounds.
    pub fn number<T: Number>(
        &mut self,
        key: &'static str,
        flag: Option<u64>,
        file: Option<u64>,
        or: T,
        bounds: RangeInclusive<u64>,
    ) -> Result<T, ConfigError> {
        let value = self.choose(key, flag, file, or.to_u64());
        let name = flat(key);
        if !bounds.contains(&value) {
            let (low, high) = bounds.into_inner();
            return Err(ConfigError(format!("{name} is {value}, but must be between {low} and {high}")));
        }
        T::of_u64(value).ok_or_else(|| ConfigError(format!("{name} is {value}, which is too much for this machine")))
    }

    /// Keeps a value that was chosen elsewhere.
    pub fn note(&mut self, key: &'static str, value: impl Serialize, origin: Origin) {
        let value = serde_json::to_value(value).unwrap_or_else(|_| "a name that is not UTF-8".into());
        self.made.push(Setting { key, value, origin, is_secret: false });
    }

    /// The same for a secret: only whether it is set.
    pub fn note_secret(&mut self, key: &'static str, is_set: bool, origin: Origin) {
        let value = if is_set { MASK.into() } else { Value::Null };
        self.made.push(Setting { key, value, origin, is_secret: true });
    }

    /// The value, and the layer it comes from.
    pub fn layer<T>(&self, key: &str, flag: Option<T>, file: Option<T>) -> (Origin, Option<T>) {
        match (flag, file) {
            (Some(value), _) if self.given.0.contains(&flat(key)) => (Origin::Flag, Some(value)),
            (Some(value), _) => (Origin::Environment, Some(value)),
            (None, Some(value)) => (Origin::File, Some(value)),
            (None, None) => (Origin::Default, None),
        }
    }
}

/// The name of the flag, as clap spells it.
fn flat(key: &str) -> String {
    key.replace('.', "_")
}

/// A number as a setting has it; times are in milliseconds.
pub(super) trait Number: Copy {
    fn to_u64(self) -> u64;
    fn of_u64(value: u64) -> Option<Self>;
}

macro_rules! numbers {
    ($($kind:ty),+) => { $(
        impl Number for $kind {
            fn to_u64(self) -> u64 {
                self as u64
            }

            fn of_u64(value: u64) -> Option<Self> {
                Self::try_from(value).ok()
            }
        }
    )+ };
}

numbers!(usize, u32, u64);

impl Number for Duration {
    fn to_u64(self) -> u64 {
        u64::try_from(self.as_millis()).unwrap_or(u64::MAX)
    }

    fn of_u64(value: u64) -> Option<Self> {
        Some(Self::from_millis(value))
    }
}

impl Config {
    /// All settings in force, in the order of the help, and where each comes from.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }
}
