//! A part of the tables folded again after an erasure is what the whole log folded again gives.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
#[expect(dead_code, reason = "tests/truth.rs uses the rest")]
mod model;

use chatfold::erase::{self, Order, Outcome};
use chatfold::ids::Time;
use chatfold::rebuild::{Host, refold};
use chatfold::store::sqlite;
use harness::{Harness, NOON, READ_AT, fixtures, read_dir};
use model::arena::Arena;
use model::case::each;
use model::faults::{API_KEY, BURSTS, CALM, MADE_ANEW};
use model::script::{ANEW, EVERYTHING, GROUPS};
use model::world::USERS;

/// Erases a person, and folds the part that this touches. `None`: the log does not name the person. False: there was no
/// such part, and nothing is folded yet.
fn erased(file: &Harness, app_id: &str, uid: &str) -> Option<bool> {
    let conn = sqlite::open_writer(&file.path()).unwrap();
    let order = Order { app_id, uid, in_texts: false, at: Time(READ_AT) };
    let Outcome::Erased(_, part) = erase::erase(&file.path(), &conn, &order).unwrap() else { return None };
    let host = Host::alone(conn);
    let done = refold(&file.path(), &host, part, &mut |_| {}).unwrap();
    host.finish().unwrap();
    file.forget();
    Some(done)
}

/// What tells the tables of the file from those of its log.
fn differs(file: &Harness) -> Option<String> {
    let verified = file.verify();
    let is_same = verified.is_clean() && verified.live == verified.folded;
    (!is_same).then(|| format!("{:#?} {:#?}", verified.differences, verified.damaged))
}

#[test]
fn the_part_that_an_erasure_touches_is_what_the_whole_log_gives_in_histories_of_all_kinds() {
    let classes = [(&CALM[..], EVERYTHING), (&BURSTS, EVERYTHING), (&MADE_ANEW, ANEW), (&API_KEY, GROUPS)];
    let mut test = 700;
    for (classes, mix) in classes {
        for class in classes {
            test += 1;
            each(test, 1, class, mix, 60, |case| {
                let mut arena = Arena::new();
                let (app, other) = (case.run(&mut arena).app, case.run(&mut arena).app);
                let file = &arena.file;
                let mut done = 0;
                for (uid, app) in USERS[..4].iter().zip([&app, &other].into_iter().cycle()) {
                    match erased(file, app, uid) {
                        Some(true) => done += 1,
                        Some(false) => return Err(format!("{uid}: no part is told")),
                        None => {}
                    }
                    if let Some(why) = differs(file) {
                        return Err(format!("without {uid}: {why}"));
                    }
                }
                if done > 0 { Ok(()) } else { Err("nobody was erased".to_owned()) }
            });
        }
    }
}

/// All fixtures and stories of one app.
fn full() -> Harness {
    let file = Harness::new();
    let mut at = NOON;
    let stories = std::fs::read_dir("fixtures/stories").unwrap().map(|entry| entry.unwrap().path());
    let mut dirs: Vec<String> = stories.map(|path| path.to_str().unwrap().to_owned()).collect();
    dirs.sort();
    for (_, body) in fixtures().into_iter().chain(dirs.iter().flat_map(|dir| read_dir(dir))) {
        at += 997;
        if let Ok(envelope) = chatfold::envelope::Envelope::received(body.as_bytes()) {
            file.transaction(|| file.append(&envelope, Time(at), chatfold::log::Source::Http));
        }
    }
    file
}

#[test]
fn whoever_is_erased_from_the_fixtures_and_stories_the_part_is_what_the_whole_log_gives() {
    let file = full();
    let people = file.ask("SELECT app_id || ' ' || uid FROM users ORDER BY uid");
    let mut parts = 0;
    for person in people.lines() {
        let (app, uid) = person.split_once(' ').unwrap();
        match erased(&file, app, uid) {
            Some(true) => parts += 1,
            Some(false) => panic!("{uid}: no part is told"),
            None => {}
        }
        assert_eq!(differs(&file), None, "without {uid}");
    }
    assert!(parts > 20, "{parts}");
}

#[test]
fn there_is_no_part_of_tables_that_another_edition_of_the_fold_made() {
    let file = full();
    sqlite::stamp_fold_version(&file.conn, 1).unwrap();
    assert_eq!(erased(&file, "2489f0demo01", "kofi"), Some(false));
    file.rebuild();
}

#[test]
fn there_is_no_part_where_an_event_is_judged_otherwise_than_the_log_says() {
    let file = full();
    file.conn.execute("UPDATE events SET outcome = 'rejected' WHERE seq = 3", []).unwrap();
    assert_eq!(erased(&file, "2489f0demo01", "kofi"), Some(false));
    file.rebuild();
}
