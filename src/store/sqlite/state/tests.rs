use super::super::layout::Layout;
use super::*;

#[test]
fn every_column_is_declared_once() {
    let dir = tempfile::tempdir().unwrap();
    let conn = super::super::open_writer(&dir.path().join("chatfold.db")).unwrap();
    for table in tables() {
        let mut there = Layout::of(&conn, table.name).unwrap().columns;
        let mut declared: Vec<&str> = table.columns.iter().map(|it| it.name).chain(["app_id"]).collect();
        there.sort_unstable();
        declared.sort_unstable();
        assert_eq!(there, declared, "{}", table.name);
        let sorts = conn.prepare(&format!("EXPLAIN QUERY PLAN {}", statement(table))).unwrap();
        let plan: Vec<String> = plan(sorts);
        assert!(
            !plan.iter().any(|step| step.contains("TEMP B-TREE FOR ORDER BY")),
            "{} is sorted whole: {plan:?}",
            table.name
        );
    }
}

fn plan(mut statement: Statement<'_>) -> Vec<String> {
    statement.query_map(["a"], |row| row.get("detail")).unwrap().map(Result::unwrap).collect()
}
