//! What a request costs: counted before it runs, told with its answer. While it runs, its time and the length of its
//! answer are watched field by field.

use super::context::Asking;
use super::error::Code;
use async_graphql::extensions::{
    Extension, ExtensionContext, ExtensionFactory, NextResolve, NextValidation, ResolveInfo,
};
use async_graphql::{ServerError, ServerResult, ValidationResult, Value};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Refuses what costs more.
pub struct Cost {
    pub most: usize,
    /// Longest page.
    pub page: usize,
}

impl ExtensionFactory for Cost {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self { most: self.most, page: self.page })
    }
}

#[async_graphql::async_trait::async_trait]
impl Extension for Cost {
    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        super::page::LONGEST.set(self.page);
        let valid = next.run(ctx).await?;
        if let Some(asking) = ctx.data_opt::<Arc<Asking>>() {
            asking.cost.store(valid.complexity, Ordering::Relaxed);
        }
        if valid.complexity > self.most {
            let message = format!("the query costs {}, page sizes counted: at most {}", valid.complexity, self.most);
            return Err(vec![Code::TooComplex.server_error(message)]);
        }
        Ok(valid)
    }

    async fn resolve(
        &self,
        ctx: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        let Some(asking) = ctx.data_opt::<Arc<Asking>>() else { return next.run(ctx, info).await };
        let is_leaf = info.field.selection_set.node.items.is_empty();
        asking.go_on()?;
        let value = next.run(ctx, info).await?;
        if is_leaf && let Some(value) = &value {
            asking.tell(length(value))?;
        }
        Ok(value)
    }
}

/// Bytes of a value in the answer, or a few less.
fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::List(items) => items.iter().map(|item| length(item) + 1).sum(),
        Value::Object(members) => members.iter().map(|(name, value)| name.len() + 4 + length(value)).sum(),
        _ => 1,
    }
}
