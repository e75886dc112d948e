//! What single triggers say of a person beside the objects and messages that all deliveries share.

use super::{DEPTH, Place, Walk, id, keys};
use crate::json::Json;

impl Walk<'_> {
    /// Takes it out of the `data` of a delivery whose objects and messages are done with.
    pub(super) fn of_trigger(&mut self, trigger: &str, data: Json<'_>) {
        if trigger.contains("connection_status_change") {
            self.presence(data);
        } else if trigger.starts_with("moderation_") {
            self.moderation(data);
        } else if trigger == "recording_generated" || trigger == "transcription_generated" {
            self.file(data);
        } else if self.named && trigger.ends_with("-notification-payload-generated") {
            self.notification(data, DEPTH);
        }
    }

    /// The devices of the person whose presence it is.
    fn presence(&mut self, data: Json<'_>) {
        let uid = data.get("user").and_then(|user| user.get("uid")).and_then(id);
        if uid.is_none_or(|uid| self.erased.uid(&uid).is_none()) {
            return;
        }
        self.clear_but(data, &["timestamp", "user", "status", "userPresenceChanged", "currentConnection", "event"]);
        if let Some(connection) = data.get("currentConnection") {
            self.clear_but(connection, &["action", "platform", "connectedAt"]);
        }
        if let Some(event) = data.get("event") {
            self.clear_but(event, &["type", "at", "event_for"]);
            event.get("event_for").into_iter().for_each(|it| self.clear_but(it, &["connected_at", "platform"]));
        }
    }

    /// What moderation found in a message of the person.
    fn moderation(&mut self, data: Json<'_>) {
        let message = ["message", "resource"].iter().find_map(|key| data.get(key));
        if message.is_none_or(|message| self.author(message, Place::outermost("message")).is_none()) {
            return;
        }
        for verdict in data.get("moderation").into_iter().flat_map(Json::elements) {
            self.clear_but(verdict, &["rule"]);
        }
        for failure in data.get("failures").into_iter().flat_map(Json::elements) {
            self.clear_but(failure, &["timeoutMs", "failedAt", "category", "httpStatus"]);
        }
    }

    /// A recording or transcript of what the person said: that there is one, and when, stays.
    fn file(&mut self, data: Json<'_>) {
        let session = keys::SESSIONS.iter().find_map(|key| data.get(key).and_then(id));
        if session.is_some_and(|session| self.erased.attended(&session)) {
            self.named = true;
            self.clear_but(data, keys::OF_FILE);
        }
    }

    /// What was sent to a person, or about one: the message stands in the log by itself.
    fn notification(&mut self, json: Json<'_>, depth: usize) {
        for (key, value) in json.members() {
            if value.text().is_some() && keys::NOTIFIED.contains(&key.as_ref()) {
                self.clear(value);
            } else if depth > 0 {
                self.notification(value, depth - 1);
                value.elements().for_each(|element| self.notification(element, depth - 1));
            }
        }
    }
}
