//! The fields of an object, resolved.
//!
//! The macros of `async_graphql` write `async_graphql::resolver_utils::resolve_container` where an object is resolved.
//! A file that names this module `async_graphql` gets the function below instead: a leaf is polled where it stands and
//! only what has to wait is boxed, no field is put through extensions, and an object is written as JSON at once.

use super::context::Asking;
use super::written::{length, write_object};
pub use ::async_graphql::*;
use async_graphql::futures_util::future::BoxFuture;
use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{Field, Selection};
use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as Poller, Poll};

/// What the macros look for, with our way to resolve an object.
pub mod resolver_utils {
    pub use super::resolve_container;
    pub use ::async_graphql::resolver_utils::*;
}

type Resolved = ServerResult<Option<Value>>;

/// A field that waits, and its place among the fields.
type Waiting<'a> = (usize, BoxFuture<'a, Resolved>);

/// Resolves the selected fields of an object, in their order.
pub async fn resolve_container<T: ContainerType + ?Sized>(
    ctx: &ContextSelectionSet<'_>,
    root: &T,
) -> ServerResult<Value> {
    let mut fields = Vec::with_capacity(ctx.item.node.items.len());
    select::<T>(ctx, &mut fields)?;
    let mut values = vec![Value::Null; fields.len()];
    let (mut waiting, mut begun) = (Vec::new(), false);
    poll_fn(|poller| {
        if std::mem::replace(&mut begun, true) {
            return go_on(&mut waiting, &mut values, poller);
        }
        for (place, field) in fields.iter().enumerate() {
            match begin(ctx, root, field, poller) {
                Begun::Ready(value) => values[place] = value?.unwrap_or_default(),
                Begun::Waits(future) => waiting.push((place, future)),
            }
        }
        until_woken(&waiting)
    })
    .await?;
    let Some(asking) = ctx.data_opt::<Arc<Asking>>() else { return Ok(merged(&fields, values)) };
    let leaves = fields.iter().zip(&values).filter(|(field, _)| is_leaf(field));
    asking.tell(leaves.map(|(_, value)| length(value)).sum())?;
    if asking.keys_are_distinct {
        return Ok(write_object(fields.iter().map(|field| field.node.response_key().node.as_str()).zip(&values)));
    }
    Ok(merged(&fields, values))
}

/// Lists the fields that a selection set holds for this object, those of its fragments too.
fn select<'a, T: ContainerType + ?Sized>(
    ctx: &ContextSelectionSet<'a>,
    fields: &mut Vec<&'a Positioned<Field>>,
) -> ServerResult<()> {
    for selection in &ctx.item.node.items {
        let (condition, set) = match &selection.node {
            Selection::Field(field) => {
                fields.push(field);
                continue;
            }
            Selection::FragmentSpread(spread) => {
                let name = &spread.node.fragment_name.node;
                let fragment = ctx
                    .query_env
                    .fragments
                    .get(name)
                    .ok_or_else(|| ServerError::new(format!("Unknown fragment \"{name}\"."), Some(spread.pos)))?;
                (Some(&fragment.node.type_condition), &fragment.node.selection_set)
            }
            Selection::InlineFragment(fragment) => {
                (fragment.node.type_condition.as_ref(), &fragment.node.selection_set)
            }
        };
        let name = T::type_name();
        let implements = |on: &str| {
            let interfaces = ctx.schema_env.registry.implements.get(&*name);
            interfaces.is_some_and(|interfaces| interfaces.contains(on))
        };
        if condition.map(|it| it.node.on.node.as_str()).is_none_or(|on| on == name || implements(on)) {
            select::<T>(&ctx.with_selection_set(set), fields)?;
        }
    }
    Ok(())
}

fn is_leaf(field: &Positioned<Field>) -> bool {
    field.node.selection_set.node.items.is_empty()
}

/// What became of a field when it was first polled.
enum Begun<'a> {
    Ready(Resolved),
    Waits(BoxFuture<'a, Resolved>),
}

/// Polls a field for the first time. A leaf, or an object of leaves, that waits begins anew: all it has done is to name
/// what it waits for.
fn begin<'a, T: ContainerType + ?Sized>(
    ctx: &'a ContextSelectionSet<'_>,
    root: &'a T,
    field: &'a Positioned<Field>,
    poller: &mut Poller<'_>,
) -> Begun<'a> {
    if field.node.name.node == "__typename" {
        return Begun::Ready(Ok(Some(Value::String(root.introspection_type_name().into_owned()))));
    }
    let boxed =
        || -> BoxFuture<'a, Resolved> { Box::pin(async move { root.resolve_field(&ctx.with_field(field)).await }) };
    let items = &field.node.selection_set.node.items;
    if items.iter().all(|item| matches!(&item.node, Selection::Field(field) if is_leaf(field))) {
        let field_ctx = ctx.with_field(field);
        return match pin!(root.resolve_field(&field_ctx)).poll(poller) {
            Poll::Ready(value) => Begun::Ready(value),
            Poll::Pending => Begun::Waits(boxed()),
        };
    }
    let mut future = boxed();
    match future.as_mut().poll(poller) {
        Poll::Ready(value) => Begun::Ready(value),
        Poll::Pending => Begun::Waits(future),
    }
}

/// The waiting fields were polled just now. A second poll would find the same, and each level of the answer would repeat it.
fn until_woken(waiting: &[Waiting<'_>]) -> Poll<ServerResult<()>> {
    if waiting.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
}

/// Polls all that waits, in the order of the fields.
fn go_on(waiting: &mut Vec<Waiting<'_>>, values: &mut [Value], poller: &mut Poller<'_>) -> Poll<ServerResult<()>> {
    let mut failed = None;
    waiting.retain_mut(|(place, future)| {
        if failed.is_some() {
            return true;
        }
        match future.as_mut().poll(poller) {
            Poll::Pending => return true,
            Poll::Ready(Ok(value)) => values[*place] = value.unwrap_or_default(),
            Poll::Ready(Err(error)) => failed = Some(error),
        }
        false
    });
    match failed {
        Some(error) => Poll::Ready(Err(error)),
        None if waiting.is_empty() => Poll::Ready(Ok(())),
        None => Poll::Pending,
    }
}

/// A list of objects.
pub struct Nodes<T>(pub Vec<T>);

impl<T: OutputType> OutputType for Nodes<T> {
    fn type_name() -> Cow<'static, str> {
        <Vec<T> as OutputType>::type_name()
    }

    fn qualified_type_name() -> String {
        <Vec<T> as OutputType>::qualified_type_name()
    }

    fn create_type_info(registry: &mut registry::Registry) -> String {
        <Vec<T> as OutputType>::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        let mut values = vec![Value::Null; self.0.len()];
        let (mut waiting, mut begun) = (Vec::new(), false);
        poll_fn(|poller| {
            if std::mem::replace(&mut begun, true) {
                return go_on(&mut waiting, &mut values, poller);
            }
            for (place, item) in self.0.iter().enumerate() {
                let mut future: BoxFuture<'_, Resolved> = Box::pin(async move {
                    let ctx = ctx.with_index(place);
                    item.resolve(&ctx, field).await.map(Some).map_err(|error| ctx.set_error_path(error))
                });
                match future.as_mut().poll(poller) {
                    Poll::Ready(value) => values[place] = value?.unwrap_or_default(),
                    Poll::Pending => waiting.push((place, future)),
                }
            }
            until_woken(&waiting)
        })
        .await?;
        Ok(Value::List(values))
    }
}

/// An object of fields that may be selected more than once: what is selected of one is merged.
fn merged(fields: &[&Positioned<Field>], values: Vec<Value>) -> Value {
    let mut object = IndexMap::with_capacity(fields.len());
    for (field, value) in fields.iter().zip(values) {
        merge(&mut object, field.node.response_key().node.clone(), value);
    }
    Value::Object(object)
}

fn merge(object: &mut IndexMap<Name, Value>, name: Name, value: Value) {
    match (object.get_mut(&name), value) {
        (None, value) => {
            object.insert(name, value);
        }
        (Some(Value::Object(known)), Value::Object(more)) => {
            more.into_iter().for_each(|(name, value)| merge(known, name, value));
        }
        (Some(Value::List(known)), Value::List(more)) => {
            for pair in known.iter_mut().zip(more) {
                if let (Value::Object(known), Value::Object(more)) = pair {
                    more.into_iter().for_each(|(name, value)| merge(known, name, value));
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::objects as async_graphql;
    use async_graphql::{EmptyMutation, EmptySubscription, Object, Schema};
    use std::future::poll_fn;
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Waker};

    static POLLS: AtomicUsize = AtomicUsize::new(0);

    struct Deep;

    #[Object]
    impl Deep {
        async fn deeper(&self) -> Deep {
            Self
        }

        async fn all(&self) -> super::Nodes<Deep> {
            super::Nodes(vec![Self])
        }

        /// Waits until the whole request is polled for the second time.
        async fn waits(&self) -> i32 {
            let ready = |_: &mut Context<'_>| match POLLS.fetch_add(1, Ordering::Relaxed) {
                0 => Poll::Pending,
                _ => Poll::Ready(1),
            };
            poll_fn(ready).await
        }
    }

    #[test]
    fn what_waits_is_polled_once_however_deep_it_stands() {
        let schema = Schema::new(Deep, EmptyMutation, EmptySubscription);
        let mut request = pin!(schema.execute("{deeper{all{deeper{all{waits}}}}}"));
        let mut poll = || request.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll().is_pending());
        assert_eq!(POLLS.load(Ordering::Relaxed), 1);
        let Poll::Ready(answer) = poll() else { panic!("still waits") };
        assert!(answer.is_ok(), "{:?}", answer.errors);
        assert_eq!(POLLS.load(Ordering::Relaxed), 2);
    }
}
