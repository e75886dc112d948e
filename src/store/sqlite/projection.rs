//! The tables that are folded from the log, and can be dropped.

use super::table::{Stored, Table};
use super::{edit, events, message, search};
use crate::change::{Connection, Moderation, Presence, User};
use crate::sessions::{CallFact, History, Instance, RecordingRow, StayRow, TranscriptRow};
use crate::standing::Standing;
use crate::tables::app::App;
use crate::tables::block::Block;
use crate::tables::conversation::Conversation;
use crate::tables::group::{Group, Roster};
use crate::tables::horizon::Horizon;
use crate::tables::membership::FactRow;
use crate::tables::reaction::Spelling;
use crate::tables::receipt::{ReadMarker, Receipt};
use crate::tables::registers::Registers;
use std::sync::LazyLock;

/// Their names.
pub static PROJECTION: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| tables().iter().map(|table| table.name).collect());

/// In the order of the state hash.
pub(super) fn tables() -> Vec<&'static Table> {
    vec![
        &events::EVENT_REFS,
        App::table(),
        Registers::<User>::table(),
        Group::table(),
        Standing::table(),
        FactRow::table(),
        Roster::table(),
        Conversation::table(),
        &search::NUMBERS,
        message::Saved::table(),
        &edit::TABLES[1],
        &edit::TABLES[0],
        &message::TAGS,
        &message::MENTIONS,
        Spelling::table(),
        Receipt::table(),
        ReadMarker::table(),
        Registers::<Presence>::table(),
        Registers::<Connection>::table(),
        Block::table(),
        CallFact::table(),
        History::table(),
        Instance::table(),
        StayRow::table(),
        RecordingRow::table(),
        TranscriptRow::table(),
        Registers::<Moderation>::table(),
        Horizon::table(),
    ]
}
