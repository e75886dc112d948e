//! Connections: which part of a list is asked for, cursors, and what all connections share.

use super::context::Ask;
use super::error::{Result, bad_input};
use super::objects as async_graphql;
use crate::store::sqlite::read::{Conn, Found, Key, List, Part, Range, ReadRows, Sql, Wanted};
use async_graphql::{Context, SimpleObject};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};

pub(super) const DEFAULT: usize = 50;
/// No setting allows more.
pub const MOST: usize = 200;
/// Where counting stops.
const COUNTED: usize = 10_000;

thread_local! {
    /// Longest page while the cost of a request is counted, which one thread does from beginning to end: the formulas
    /// are told nothing but arguments.
    pub static LONGEST: Cell<usize> = const { Cell::new(MOST) };
}

/// What a page costs, for the complexity limit.
pub fn cost(first: Option<i32>, last: Option<i32>, child: usize) -> usize {
    let size = first.or(last).map_or(DEFAULT, |size| usize::try_from(size).unwrap_or(0));
    1 + size.min(LONGEST.get()) * child
}

/// The text of a part of a key.
pub fn text(part: &Part) -> &str {
    part.text()
}

/// Whether a field is selected of the nodes of a connection, by its path from them.
pub fn selects(ctx: &Context<'_>, path: &[&str]) -> bool {
    let nodes = [ctx.look_ahead().field("nodes"), ctx.look_ahead().field("edges").field("node")];
    nodes.into_iter().any(|node| path.iter().fold(node, |at, name| at.field(name)).exists())
}

/// The four arguments of every connection.
#[derive(Debug, Default)]
pub struct Paging {
    pub first: Option<i32>,
    pub after: Option<String>,
    pub last: Option<i32>,
    pub before: Option<String>,
}

/// Where a page is in its list.
#[derive(SimpleObject)]
pub struct PageInfo {
    /// Whether the list goes on after this page. Also true if the page ended early: ask for the next page with
    /// `endCursor`.
    has_next_page: bool,
    /// Whether the list has items before this page.
    has_previous_page: bool,
    /// The cursor of the first item.
    start_cursor: Option<String>,
    /// The cursor to ask for the next page with: that of the last item, or, if the page ended early, that of the last
    /// row examined.
    end_cursor: Option<String>,
}

/// A page of a list: its keys, and the rows that were read with them. Other rows are looked up with those of all other
/// lists.
pub struct Page {
    pub app: Arc<str>,
    pub list: Box<dyn List>,
    pub keys: Vec<Key>,
    rows: Option<ReadRows>,
    backwards: bool,
    after: Option<Key>,
    before: Option<Key>,
    more: bool,
    stopped: Option<Key>,
    count: Mutex<Option<(i32, bool)>>,
}

impl Page {
    /// Reads a page.
    pub fn read(ctx: &Context<'_>, app: Arc<str>, list: impl List + 'static, paging: &Paging) -> Result<Self> {
        Self::read_with(ctx, app, list, paging, Wanted::default())
    }

    /// Reads a page and, where the list can, what is wanted of its items.
    pub fn read_with(
        ctx: &Context<'_>,
        app: Arc<str>,
        list: impl List + 'static,
        paging: &Paging,
        wanted: Wanted,
    ) -> Result<Self> {
        let (size, backwards) = paging.size(ctx.asking().page)?;
        let after = cursor_argument(&list, &app, "after", paging.after.as_deref())?;
        let before = cursor_argument(&list, &app, "before", paging.before.as_deref())?;
        let falling = list.falling() != backwards;
        let (from, until) = if backwards { (&before, &after) } else { (&after, &before) };
        let range = Range { from: from.as_ref(), falling, want: size };
        let (found, mut rows) = ctx.read(|conn| list.read(conn, range, wanted))?;
        let Found { mut keys, mut more, mut stopped } = found;
        if let Some(until) = until {
            let inside = |key: &Key| if falling { key > until } else { key < until };
            let length = keys.len();
            keys.retain(inside);
            if keys.len() < length || stopped.as_ref().is_some_and(|key| !inside(key)) {
                more = false;
                stopped = None;
                rows = None;
            }
        }
        if backwards {
            keys.reverse();
        }
        let (list, count) = (Box::new(list), Mutex::new(None));
        Ok(Self { app, list, keys, rows, backwards, after, before, more, stopped, count })
    }

    /// The rows that were read with the keys, in their order.
    pub fn rows<R: Clone + 'static>(&self) -> Option<Vec<R>> {
        let mut rows = self.rows.as_ref()?.downcast_ref::<Vec<R>>()?.clone();
        if self.backwards {
            rows.reverse();
        }
        Some(rows)
    }

    /// The cursor of a key.
    pub fn cursor(&self, key: &Key) -> String {
        cursor(&*self.list, &self.app, key)
    }

    /// `pageInfo`.
    pub fn info(&self, ctx: &Context<'_>) -> Result<PageInfo> {
        let wanted = ctx.look_ahead();
        let start = if self.backwards && self.stopped.is_some() { self.stopped.as_ref() } else { self.keys.first() };
        let end = if !self.backwards && self.stopped.is_some() { self.stopped.as_ref() } else { self.keys.last() };
        // The side the page was read towards is known, unless the other cursor cut it; the other side is looked at
        // only where it is asked for.
        let next = if self.backwards || self.before.is_some() {
            wanted.field("hasNextPage").exists() && self.is_more(ctx, false)?
        } else {
            self.more
        };
        let previous = if !self.backwards || self.after.is_some() {
            wanted.field("hasPreviousPage").exists() && self.is_more(ctx, true)?
        } else {
            self.more
        };
        Ok(PageInfo {
            has_next_page: next,
            has_previous_page: previous,
            start_cursor: start.map(|key| self.cursor(key)),
            end_cursor: end.map(|key| self.cursor(key)),
        })
    }

    /// Whether the list has something before (`back`) or behind the page.
    fn is_more(&self, ctx: &Context<'_>, back: bool) -> Result<bool> {
        if self.more && back == self.backwards {
            return Ok(true);
        }
        let edge =
            if back { self.keys.first().or(self.after.as_ref()) } else { self.keys.last().or(self.before.as_ref()) };
        let Some(edge) = edge else { return Ok(false) };
        let given = if back { &self.after } else { &self.before };
        if self.keys.is_empty() {
            // What the cursor named is on that side itself.
            return Ok(given.is_some());
        }
        let falling = self.list.falling() != back;
        let found = ctx.read(|conn| self.list.scan(conn, Range { from: Some(edge), falling, want: 1 }))?;
        Ok(found.more || !found.keys.is_empty())
    }

    /// How many there are, up to 10,000, and whether that is all.
    pub fn count(&self, ctx: &Context<'_>) -> Result<(i32, bool)> {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = *count {
            return Ok(count);
        }
        let counted = ctx.read(|conn| self.count_all(conn))?;
        Ok(*count.insert(counted))
    }

    fn count_all(&self, conn: &Conn) -> Sql<(i32, bool)> {
        let found = self.list.scan(conn, Range { from: None, falling: self.list.falling(), want: COUNTED })?;
        Ok((i32::try_from(found.keys.len()).unwrap_or(i32::MAX), !found.more))
    }
}

impl Paging {
    /// How many, and from which end.
    fn size(&self, most: usize) -> Result<(usize, bool)> {
        let (name, size) = match (self.first, self.last) {
            (Some(_), Some(_)) => return Err(bad_input("last", "expected first or last, not both")),
            (None, Some(last)) => ("last", last),
            (first, None) => ("first", first.unwrap_or(DEFAULT.min(most) as i32)),
        };
        match usize::try_from(size) {
            Ok(size) if size <= most => Ok((size, name == "last")),
            _ => Err(bad_input(name, &format!("expected a number from 0 to {most}"))),
        }
    }
}

/// Cursors are bound to their list: its name, its order, its app and everything it is filtered by; and to their key, so
/// that a damaged one is told.
fn binding(list: &dyn List, app: &str, key: &Key) -> String {
    let digest = Sha256::digest(format!("{app}\n{list:?}\n{key:?}"));
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

fn cursor(list: &dyn List, app: &str, key: &Key) -> String {
    let mut parts = vec![serde_json::Value::from(list.name()), binding(list, app, key).into()];
    parts.extend(key.iter().map(|part| match part {
        Part::Int(int) => (*int).into(),
        Part::Text(text) => text.as_str().into(),
    }));
    URL_SAFE_NO_PAD.encode(serde_json::Value::Array(parts).to_string())
}

fn cursor_argument(list: &dyn List, app: &str, argument: &str, given: Option<&str>) -> Result<Option<Key>> {
    let Some(given) = given else { return Ok(None) };
    match decode(list, app, given) {
        Some(key) => Ok(Some(key)),
        None => {
            Err(bad_input(argument, "expected a cursor that this list gave with the same filter and the same order"))
        }
    }
}

fn decode(list: &dyn List, app: &str, cursor: &str) -> Option<Key> {
    let parts: Vec<serde_json::Value> = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let [name, bound, key @ ..] = parts.as_slice() else {
        return None;
    };
    if *name != list.name() || key.len() != list.kinds().len() {
        return None;
    }
    let key: Option<Key> = list
        .kinds()
        .bytes()
        .zip(key)
        .map(|(kind, part)| match kind {
            b'i' => part.as_i64().map(Part::Int),
            _ => part.as_str().map(|text| Part::Text(text.to_owned())),
        })
        .collect();
    key.filter(|key| *bound == binding(list, app, key))
}

/// Declares a connection and its edge. The node type has `of_page(ctx, page)`, its nodes in the order of the keys.
macro_rules! connection {
    ($connection:ident, $edge:ident, $node:ty, $what:literal) => {
        pub struct $connection(pub $crate::graphql::page::Page);

        #[doc = concat!("An item of a page of ", $what, ", with its cursor.")]
        #[derive(async_graphql::SimpleObject)]
        pub struct $edge {
            /// The cursor of this item. Pass it as `after` or `before` to go on from here.
            cursor: String,
            /// The item.
            node: $node,
        }

        #[doc = concat!("A page of ", $what, ".")]
        #[async_graphql::Object]
        impl $connection {
            /// The items, each with its cursor.
            async fn edges(
                &self,
                ctx: &async_graphql::Context<'_>,
            ) -> $crate::graphql::error::Result<$crate::graphql::objects::Nodes<$edge>> {
                let nodes = <$node>::of_page(ctx, &self.0).await?;
                let edge = |(key, node)| $edge { cursor: self.0.cursor(key), node };
                Ok($crate::graphql::objects::Nodes(self.0.keys.iter().zip(nodes).map(edge).collect()))
            }

            /// The items of this page.
            async fn nodes(
                &self,
                ctx: &async_graphql::Context<'_>,
            ) -> $crate::graphql::error::Result<$crate::graphql::objects::Nodes<$node>> {
                <$node>::of_page(ctx, &self.0).await.map($crate::graphql::objects::Nodes)
            }

            /// Where this page is in the list.
            async fn page_info(
                &self,
                ctx: &async_graphql::Context<'_>,
            ) -> $crate::graphql::error::Result<$crate::graphql::page::PageInfo> {
                self.0.info(ctx)
            }

            /// The number of items in the whole list, up to 10,000. The server counts only if you select this field.
            async fn total_count(&self, ctx: &async_graphql::Context<'_>) -> $crate::graphql::error::Result<i32> {
                Ok(self.0.count(ctx)?.0)
            }

            /// Whether `totalCount` is the whole count. False if counting stopped at 10,000.
            async fn total_count_exact(
                &self,
                ctx: &async_graphql::Context<'_>,
            ) -> $crate::graphql::error::Result<bool> {
                Ok(self.0.count(ctx)?.1)
            }
        }
    };
}
pub(super) use connection;
