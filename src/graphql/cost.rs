//! What a request costs: counted before it runs, told with its answer.

use super::context::Asking;
use super::error::Code;
use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextValidation};
use async_graphql::{ServerError, ValidationResult};
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
}
