//! A small CometChat: what is true, the deliveries that tell it, and what goes wrong on their way.
//!
//! A server serialises acts. Each has a true time in milliseconds; the deliveries it causes tell that time cut to the
//! second (`group.updatedAt`, `sentAt`, …) or, as members added, blocks and group deletions do, no time at all. They
//! arrive later, some of them twice, through two webhooks, or never. [`world`] keeps the truth, [`deliver`] writes the
//! bodies, [`faults`] takes them to the file, [`expect`] compares tables and truth.
//!
//! The mix of acts is that of a busy group app. Scripts add people and promote or kick them within the second; people
//! join and leave, and may come again within the second; ownership goes to admins. Bans are rarer than kicks, leaves and
//! promotions: one act in twenty on a member, and none in the second after an add. Nobody bans the banned, kicks who is
//! out, acts on himself, or adds the same person twice within a minute (nothing in the bodies tells that from a retry).
//! `by time` in the table of percentages is what would be wrong if the newest time decided alone: it says how hard
//! the bursts are.
//!
//! Every history is drawn from a seed. `CHATFOLD_CASES`, `CHATFOLD_ORDERS`: how many, of each test; `CHATFOLD_SEED`:
//! only this one. A failure is shrunk step by step and prints seed, options, steps and deliveries.

pub mod arena;
pub mod case;
pub mod chat;
pub mod deliver;
pub mod expect;
pub mod faults;
pub mod measure;
pub mod places;
pub mod script;
pub mod world;
