//! Deliveries of another app that are costly to fold. Clients of their own post them, while the steady client posts 50 a
//! second.

use crate::mix::{self, OTHER_APP};

/// Deliveries of one kind that are costly to fold.
pub struct Storm {
    pub what: String,
    /// Posted first, one after the other.
    pub before: Vec<String>,
    /// The deliveries of each client. A client posts its next delivery when it has the answer.
    pub clients: Vec<Vec<String>>,
}

/// Bytes of a body that a server takes.
const MOST: usize = 2 << 20;

/// All storms. `people` scales all of them.
pub fn all(people: u64) -> [Storm; 5] {
    let (crowd, keys, starts) = (people * 6 / 5, people * 7 / 2, people / 25);
    let several = |clients: u64, each: u64, body: &dyn Fn(u64) -> String| -> Vec<Vec<String>> {
        (0..clients).map(|client| (0..each).map(|n| body(n * clients + client)).collect()).collect()
    };
    let storms = [
        Storm {
            what: format!("seven events of another app that name {crowd} people each"),
            before: Vec::new(),
            clients: several(7, 1, &|n| mix::crowd(OTHER_APP, crowd, true, n)),
        },
        Storm {
            what: format!("three clients that create a group of {people} anew, 20 times each"),
            before: vec![mix::crowd(OTHER_APP, people, true, 0)],
            clients: several(3, 20, &mix::created_anew),
        },
        Storm {
            what: format!("64 bodies of {} KiB of another app", (people * 41) >> 10),
            before: Vec::new(),
            clients: several(64, 1, &|n| mix::large(n, people * 41)),
        },
        Storm {
            what: format!("120 receipts of a message with {keys} keys"),
            before: vec![mix::with_keys(keys)],
            clients: several(3, 40, &mix::receipt_of_keys),
        },
        Storm {
            what: format!("a session with {starts} starts"),
            before: Vec::new(),
            clients: several(4, starts / 4, &mix::start),
        },
    ];
    let mut bodies = storms.iter().flat_map(|storm| storm.before.iter().chain(storm.clients.iter().flatten()));
    assert!(bodies.all(|body| body.len() <= MOST), "a body is too large to be taken");
    storms
}
