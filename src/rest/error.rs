//! What the API answers when it does not give what was asked for.

use crate::ids::Time;

/// Why the API gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestError {
    #[error(
        "CometChat does not accept the API key for the app {app_id} at {base}: {said}. Check CHATFOLD_API_KEY, --app and --region"
    )]
    Key { app_id: String, base: String, said: String },
    #[error("the API key may not read this: {said}. Use a REST API key with the scope fullAccess")]
    Access { said: String },
    #[error("CometChat does not show this: {said}")]
    Forbidden { said: String },
    #[error("there is no app {app_id} at {base}: {said}. Check --app and --region")]
    App { app_id: String, base: String, said: String },
    #[error("the plan of the app does not allow this: {said}")]
    Plan { said: String },
    #[error("CometChat does not know it: {said}")]
    NotFound {
        code: String,
        said: String,
        /// When the API said so, less the margin of every reading.
        at: Time,
    },
    #[error("CometChat asks to wait, and asked once more after waiting: {said}")]
    Busy { said: String },
    #[error("CometChat answered {status}: {said}")]
    Refused { status: u16, said: String },
    #[error("cannot reach {base}: {said}. Check --app, --region and the network")]
    Unreachable { base: String, said: String },
    #[error(
        "no host of CometChat serves the region {region:?}: {base} leads nowhere. The known regions are us, eu and in. Check \
         --region, or api_region in the settings"
    )]
    Region { region: String, base: String },
    #[error("the answer of CometChat is not what its documentation says: {0}")]
    Strange(String),
}

impl RestError {
    /// Whether every other request would end the same.
    pub fn is_of_all(&self) -> bool {
        matches!(
            self,
            Self::Key { .. } | Self::App { .. } | Self::Unreachable { .. } | Self::Region { .. } | Self::Busy { .. }
        )
    }

    /// Whether every other request for entities of this kind would end the same.
    pub fn is_of_kind(&self) -> bool {
        matches!(self, Self::Plan { .. } | Self::Access { .. })
    }

    /// Whether this was refused alone: the same request would end the same, and others may be answered.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Forbidden { .. })
    }

    /// Whether there is no such entity.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// When there was no such group. Only CometChat's own code says that: a proxy, or an address that the API does not
    /// have, answers 404 as well.
    pub fn no_group_at(&self) -> Option<Time> {
        match self {
            Self::NotFound { code, at, .. } if code == "ERR_GUID_NOT_FOUND" => Some(*at),
            _ => None,
        }
    }
}
