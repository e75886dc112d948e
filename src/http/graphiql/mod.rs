//! `GET /graphql` for a browser: GraphiQL, where questions are written, documented and tried.
//!
//! The page is static and holds no data, so with tokens in the file it opens without one: that is where one is typed.
//! Nothing of other people's is committed. The page names five files of pinned npm packages on a public CDN, each with
//! the hash it must have; `graphiql_dir` serves the same five from a folder, for networks that do not reach the CDN.

use super::{Shared, access, body, either, problem};
use actix_web::guard::GuardContext;
use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, VARY};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha384};
use std::path::Path;

const CDN: &str = "https://unpkg.com";
const PAGE: &str = include_str!("page.html");
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";

/// One file of an npm package, as published.
struct Asset {
    package: &'static str,
    version: &'static str,
    file: &'static str,
    /// In the form of subresource integrity.
    hash: &'static str,
}

/// In the order in which the page loads them. React 18 and GraphiQL 4 are the last that need no bundler.
const ASSETS: [Asset; 5] = [
    Asset {
        package: "graphiql",
        version: "4.1.2",
        file: "graphiql.min.css",
        hash: "sha384-1el1QShFBnnXTx9x/Cprg82hZWKt0ry29OAYIXt05swbi0KcZDFoj0CWguMpopJr",
    },
    Asset {
        package: "react",
        version: "18.3.1",
        file: "umd/react.production.min.js",
        hash: "sha384-DGyLxAyjq0f9SPpVevD6IgztCFlnMF6oW/XQGmfe+IsZ8TqEiDrcHkMLKI6fiB/Z",
    },
    Asset {
        package: "react-dom",
        version: "18.3.1",
        file: "umd/react-dom.production.min.js",
        hash: "sha384-gTGxhz21lVGYNMcdJOyq01Edg0jhn/c22nsx0kyqP0TxaV5WVdsSH1fSDUf5YJj1",
    },
    Asset {
        package: "graphql-ws",
        version: "5.16.2",
        file: "umd/graphql-ws.min.js",
        hash: "sha384-+EVxFEOpy8LWPRQcpntm0FKN2O+BzrMNSL0G3HIgVWFmeb6xqZqjuLivrQUTXZKi",
    },
    Asset {
        package: "graphiql",
        version: "4.1.2",
        file: "graphiql.min.js",
        hash: "sha384-9XdHu7ajgGJziD4J1zNBKQ842Q/+zZfDv+ib1eMhZWBH6hPAs806x+Jbcf0yNO6B",
    },
];

impl Asset {
    fn is_style(&self) -> bool {
        self.file.ends_with(".css")
    }

    fn on_cdn(&self) -> String {
        format!("{CDN}/{}@{}/{}", self.package, self.version, self.file)
    }

    /// What this server calls it: the version in the name lets browsers keep it for ever.
    fn name(&self) -> String {
        format!("{}-{}.{}", self.package, self.version, if self.is_style() { "css" } else { "js" })
    }

    fn tag(&self, url: &str) -> String {
        let hash = self.hash;
        match self.is_style() {
            true => format!("<link rel=\"stylesheet\" href=\"{url}\" integrity=\"{hash}\" crossorigin=\"anonymous\">"),
            false => format!("<script defer src=\"{url}\" integrity=\"{hash}\" crossorigin=\"anonymous\"></script>"),
        }
    }

    fn read(&self, dir: &Path) -> Result<Bytes, String> {
        let path = dir.join(self.package).join(self.file);
        let wrong = |why: &str| {
            let (package, version) = (self.package, self.version);
            format!("graphiql_dir: {}: {why}. Expected the file of the npm package {package} {version}", path.display())
        };
        let bytes = std::fs::read(&path).map_err(|error| wrong(&error.to_string()))?;
        match format!("sha384-{}", STANDARD.encode(Sha384::digest(&bytes))) == self.hash {
            true => Ok(bytes.into()),
            false => Err(wrong("another file")),
        }
    }
}

/// The page, and what it loads from here.
pub(super) struct Graphiql {
    page: String,
    policy: String,
    /// Of `graphiql_dir`: name, whether a style sheet, bytes.
    assets: Vec<(String, bool, Bytes)>,
}

impl Graphiql {
    /// With the files of that folder, read once and for all; without one, with those of the CDN.
    pub(super) fn open(dir: Option<&Path>) -> Result<Self, String> {
        let mut assets = Vec::new();
        let mut tags = Vec::new();
        let (mut scripts, mut styles) = (String::new(), String::new());
        for asset in &ASSETS {
            let Some(dir) = dir else {
                let url = asset.on_cdn();
                tags.push(asset.tag(&url));
                let sources = if asset.is_style() { &mut styles } else { &mut scripts };
                *sources += &format!(" {url}");
                continue;
            };
            tags.push(asset.tag(&format!("graphql/assets/{}", asset.name())));
            assets.push((asset.name(), asset.is_style(), asset.read(dir)?));
        }
        // GraphiQL's editor writes style attributes and elements; scripts come from files only.
        let policy = format!(
            "default-src 'none'; script-src 'self'{scripts}; style-src 'self' 'unsafe-inline'{styles}; \
             connect-src 'self'; img-src data:; font-src data:; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'"
        );
        Ok(Self { page: PAGE.replace("<!-- assets -->", &tags.join("\n    ")), policy, assets })
    }
}

/// Whether a browser asks for a page, and no client for data.
pub(super) fn is_wanted(ctx: &GuardContext<'_>) -> bool {
    let headers = &ctx.head().headers;
    let named = |accept: &str| {
        accept.split(',').any(|it| it.split(';').next().is_some_and(|it| it.trim().eq_ignore_ascii_case("text/html")))
    };
    headers.get_all(ACCEPT).any(|it| it.to_str().is_ok_and(named))
}

/// The page.
pub(super) async fn page(request: HttpRequest, shared: web::Data<Shared>) -> HttpResponse {
    either(access::of_page(&request, &shared).map(|()| {
        HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
            .insert_header((CONTENT_SECURITY_POLICY, shared.graphiql.policy.as_str()))
            .insert_header((REFERRER_POLICY, "no-referrer"))
            .insert_header((CACHE_CONTROL, "no-store"))
            .insert_header((VARY, "accept"))
            .body(shared.graphiql.page.clone())
    }))
}

/// What starts GraphiQL, and asks on its behalf.
pub(super) async fn script(request: HttpRequest, shared: web::Data<Shared>) -> HttpResponse {
    own(&request, &shared, JAVASCRIPT, include_str!("boot.js"))
}

/// What the page looks like around GraphiQL.
pub(super) async fn style(request: HttpRequest, shared: web::Data<Shared>) -> HttpResponse {
    own(&request, &shared, CSS, include_str!("style.css"))
}

fn own(request: &HttpRequest, shared: &Shared, kind: &'static str, text: &'static str) -> HttpResponse {
    either(access::of_page(request, shared).map(|()| {
        HttpResponse::Ok().insert_header((CONTENT_TYPE, kind)).insert_header((CACHE_CONTROL, "no-store")).body(text)
    }))
}

/// One of the five files, where they come from here.
pub(super) async fn asset(request: HttpRequest, payload: web::Payload, shared: web::Data<Shared>) -> HttpResponse {
    let found = access::of_page(&request, &shared).and_then(|()| {
        let asked = request.match_info().query("name");
        let found = shared.graphiql.assets.iter().find(|(name, ..)| name == asked);
        found.ok_or_else(|| problem::of(StatusCode::NOT_FOUND, "there is nothing at this path"))
    });
    match found {
        Ok((_, is_style, bytes)) => HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, if *is_style { CSS } else { JAVASCRIPT }))
            .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
            .body(bytes.clone()),
        Err(refusal) => body::closing(refusal, payload),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_another_file_is_refused_and_says_which() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |dir: &Path| Graphiql::open(Some(dir)).err().unwrap();
        assert!(refused(dir.path()).contains("graphiql.min.css: No such file"));
        std::fs::create_dir(dir.path().join("graphiql")).unwrap();
        std::fs::write(dir.path().join("graphiql/graphiql.min.css"), "body {}").unwrap();
        let told = refused(dir.path());
        assert!(told.contains("another file") && told.contains("graphiql 4.1.2"), "{told}");
    }

    #[test]
    fn without_a_folder_the_page_names_exact_files_of_the_cdn() {
        let graphiql = Graphiql::open(None).unwrap();
        for asset in &ASSETS {
            let url = asset.on_cdn();
            assert!(graphiql.page.contains(&asset.tag(&url)) && graphiql.policy.contains(&url), "{url}");
            let package = format!("{}@{}", asset.package, asset.version);
            assert!(include_str!("../../../docs/query.md").contains(&package), "the page tells how to fetch {package}");
        }
        assert!(!graphiql.page.contains("<!--") && graphiql.assets.is_empty());
    }
}
