//! Tokens of several nodes: made and revoked in the shared log.

use crate::clock;
use crate::cluster::post::{Post, is_done};
use crate::config::Config;
use crate::store::sqlite::Connection;
use crate::store::sqlite::tokens::{self, NewToken};
use crate::writer::orders::{Order, TokenMade, TokenRevoked};
use anyhow::Context;

/// What became of a token on its way to all nodes.
pub(super) enum Made {
    /// This node has it, under this id.
    Here(i64),
    /// This node gets it when it reads the log.
    Later,
    /// Another token has the name.
    Taken,
}

/// Makes a token on every node.
pub(super) fn create(post: &Post, config: &Config, conn: &Connection, new: &NewToken<'_>) -> anyhow::Result<Made> {
    let makes = |order: &Order| matches!(order, Order::CreateToken(made) if made.name == new.name);
    let is_named = || Ok::<_, anyhow::Error>(tokens::all(conn)?.iter().any(|token| token.name == new.name));
    if is_named()? || post.ahead()?.iter().any(|(_, order)| makes(order)) {
        return Ok(Made::Taken);
    }
    let order = Order::CreateToken(TokenMade {
        name: new.name.to_owned(),
        hash: new.hash,
        scope: new.scope.as_str().to_owned(),
        apps: new.apps.map(<[String]>::to_vec),
        created_at: new.created_at.0,
        expires_at: new.expires_at.map(|at| at.0),
    });
    let position = post.append(&order, None)?;
    is_done(&config.db, conn, position)?;
    if let Some(token) = tokens::all(conn)?.into_iter().find(|token| token.hash == new.hash) {
        return Ok(Made::Here(token.id));
    }
    // Another node may have been told the name just before. The earlier token counts, on every node.
    let ahead = post.ahead().context("the token may be made. If its name is taken now, choose another name")?;
    let is_taken = is_named()? || ahead.iter().any(|(at, order)| *at < position && makes(order));
    Ok(if is_taken { Made::Taken } else { Made::Later })
}

/// Revokes a token on every node: its name. `None`: there is no such token.
pub(super) fn revoke(post: &Post, config: &Config, conn: &Connection, which: &str) -> anyhow::Result<Option<String>> {
    let mut all: Vec<_> = tokens::all(conn)?.into_iter().map(|it| (it.id.to_string(), it.name, it.hash)).collect();
    all.extend(post.ahead()?.into_iter().filter_map(|(_, order)| match order {
        Order::CreateToken(made) => Some((String::new(), made.name, made.hash)),
        _ => None,
    }));
    let Some((_, name, hash)) = all.into_iter().find(|(id, name, _)| name == which || id == which) else {
        return Ok(None);
    };
    let position = post.append(&Order::RevokeToken(TokenRevoked { hash, at: clock::now().0 }), None)?;
    if !is_done(&config.db, conn, position)? {
        eprintln!("this node has not read the log so far: it takes the token until then");
    }
    eprintln!("a node that does not reach PostgreSQL takes the token until it does");
    Ok(Some(name))
}
