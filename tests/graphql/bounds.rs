use super::harness::{File, all, data};

#[test]
fn a_page_that_examines_too_much_ends_early_and_goes_on() {
    let file = File::new();
    file.app("app");
    file.sql(
        "WITH RECURSIVE n(i) AS (SELECT 10000 UNION ALL SELECT i + 1 FROM n WHERE i < 35000)
         INSERT INTO users (app_id, uid, name, role, registers)
         SELECT 'app', 'u' || i, 'x', iif(i = 34000, 'rare', 'common'), x'' FROM n",
    );
    let api = file.api();
    let (mut args, mut pages, mut seen) = (String::new(), 0, Vec::new());
    loop {
        let query = format!(
            "{{users(filter:{{roles:[\"rare\"]}}{args}){{nodes{{uid}} totalCountExact pageInfo{{hasNextPage endCursor}}}}}}"
        );
        let page = data(&api, &query)["users"].clone();
        pages += 1;
        seen.extend(all(&page, "uid").into_iter().map(str::to_owned));
        assert_eq!(page["totalCountExact"], false);
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
        args = format!(",after:{}", page["pageInfo"]["endCursor"]);
    }
    assert_eq!((pages, seen), (3, vec!["u34000".to_owned()]));
    let all = data(&api, "{users{totalCount totalCountExact}}");
    assert_eq!((&all["users"]["totalCount"], &all["users"]["totalCountExact"]), (&10_000.into(), &false.into()));
}
