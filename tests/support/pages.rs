//! The console's pages, as a browser asks for them.

use super::{Answer, TestServer};

/// The text of a new token.
pub fn token(server: &TestServer, args: &[&str]) -> String {
    let (code, stdout, stderr) = server.run(&[&["token", "create"], args].concat());
    assert_eq!(code, 0, "{stderr}");
    stdout.trim().to_owned()
}

/// Name and value of the cookie that an answer sets.
pub fn cookie(answer: &Answer) -> String {
    answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

/// Asks for a page with a cookie, and follows no redirect.
pub fn with(server: &TestServer, path: &str, cookie: &str) -> Answer {
    server.raw(format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n",
        server.address
    ))
}

/// Posts a form with these headers.
pub fn post_form(server: &TestServer, path: &str, headers: &[(&str, &str)], form: &str) -> Answer {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    server.raw(format!(
        "POST {path} HTTP/1.1\r\n{headers}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{form}",
        form.len()
    ))
}

/// Signs in, from a page of that origin: our own unless told.
pub fn sign_in(server: &TestServer, token: &str, next: &str, origin: Option<&str>) -> Answer {
    let host = server.address.to_string();
    let own = format!("http://{host}");
    let headers = [("Host", host.as_str()), ("Origin", origin.unwrap_or(&own))];
    post_form(server, "/sign-in", &headers, &format!("token={token}&next={next}"))
}
