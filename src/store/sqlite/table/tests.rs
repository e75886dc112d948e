use super::*;
use crate::tables::reaction::Spelling;

#[test]
fn statements_follow_from_the_declaration() {
    let table = Spelling::table();
    assert_eq!(
        table.select,
        "SELECT reaction, facts, reacted_at, reacted_at_from FROM reactions \
         WHERE app_id = ?1 AND message_id = ?2 AND emoji = ?3 AND uid = ?4"
    );
    assert_eq!(
        table.upsert,
        "INSERT INTO reactions \
         (app_id, message_id, emoji, uid, reaction, facts, reacted_at, reacted_at_from, present, first_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (app_id, message_id, emoji, uid, reaction) DO UPDATE SET \
         facts = excluded.facts, reacted_at = excluded.reacted_at, reacted_at_from = excluded.reacted_at_from, \
         present = excluded.present, first_at = excluded.first_at"
    );
}

#[test]
fn a_panic_while_a_row_is_read_is_an_error_as_damaged_data_are() {
    struct Panics;
    impl FromColumns for Panics {
        fn take(_: &mut Reader<'_>) -> Result<Self, StoreError> {
            panic!("a bug")
        }
    }
    let conn = Connection::open_in_memory().unwrap();
    let one = collect::<Panics, Vec<_>>(&mut bound(&conn, "SELECT 1", &[]).unwrap());
    assert!(matches!(one, Err(StoreError::Unusable(_))));
    conn.execute_batch("CREATE TABLE t (app_id, a, b); INSERT INTO t VALUES ('x', 'y', 1)").unwrap();
    let table = Table::new("t", &columns![a], &[], &columns![b], &[]);
    let loaded = table.load::<Panics>(&conn, &("x", "y"));
    assert!(matches!(loaded, Err(StoreError::Unusable(_))));
}
