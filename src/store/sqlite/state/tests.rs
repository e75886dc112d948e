use super::super::layout::Layout;
use super::super::log::PROJECTION;
use super::*;

#[test]
fn every_column_is_hashed_or_left_out_on_purpose() {
    let dir = tempfile::tempdir().unwrap();
    let conn = super::super::open_writer(&dir.path().join("chatfold.db")).unwrap();
    let hashed: Vec<&str> =
        PARTS.iter().map(|part| part.table).chain(["app_numbers", "call_facts", "call_histories"]).collect();
    for table in PROJECTION {
        assert!(hashed.contains(table), "{table} is in no state hash");
    }
    for part in PARTS {
        let layout = Layout::of(&conn, part.table).unwrap();
        for column in &layout.columns {
            let known = column == "app_id"
                || part.left_out.contains(&column.as_str())
                || part.hashed.contains(&column.as_str());
            assert!(known, "{}.{column} is neither hashed nor left out", part.table);
        }
        let sorts = conn.prepare(&format!("EXPLAIN QUERY PLAN {}", part.statement())).unwrap();
        let plan: Vec<String> = plan(sorts);
        assert!(
            !plan.iter().any(|step| step.contains("TEMP B-TREE FOR ORDER BY")),
            "{} is sorted whole: {plan:?}",
            part.table
        );
    }
}

fn plan(mut statement: Statement<'_>) -> Vec<String> {
    statement.query_map(["a"], |row| row.get("detail")).unwrap().map(Result::unwrap).collect()
}
