//! Checks before a request runs: its text, the schema, its cost. What passed is not checked again.

use super::change::Subscription;
use super::context::Asking;
use super::drive::block_on;
use super::error::Code;
use super::limits::{INTROSPECTION_DEPTH, Limits};
use super::narrow;
use super::prepared::{Document, Prepared};
use super::query::Query;
use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextExecute, NextValidation};
use async_graphql::parser::parse_query;
use async_graphql::{EmptyMutation, Request, Response, Schema, SchemaBuilder, ServerError, ValidationResult};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

pub(super) type Chatfold = Schema<Query, EmptyMutation, Subscription>;

pub(super) fn schema(limits: &Limits) -> SchemaBuilder<Query, EmptyMutation, Subscription> {
    let schema = Schema::build(Query, EmptyMutation, Subscription)
        .limit_depth(limits.depth.max(INTROSPECTION_DEPTH) as usize)
        .limit_directives(limits.directives)
        .disable_suggestions();
    if limits.introspection { schema } else { schema.disable_introspection() }
}

/// Checks requests and runs none.
pub(super) struct Checks {
    schema: Chatfold,
    prepared: Prepared,
    /// What a request may cost.
    most: usize,
    /// Requests checked against the schema so far.
    count: AtomicU64,
}

impl Checks {
    pub(super) fn new(limits: &Limits) -> Self {
        let schema = schema(limits).extension(Cost { page: limits.page }).finish();
        Self { schema, prepared: Prepared::default(), most: limits.complexity, count: AtomicU64::new(0) }
    }

    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// The document of a request, within the limits that its text has to keep.
    pub(super) fn document(&self, limits: &Limits, request: &Request) -> Result<Arc<Document>, ServerError> {
        if let Some(known) = self.prepared.find(&request.query) {
            return Ok(known);
        }
        limits.check_text(&request.query)?;
        let parsed = parse_query(&request.query)?;
        limits.check(&parsed)?;
        Ok(Arc::new(Document::new(parsed)))
    }

    /// Checks a request against the schema and gives its cost; the errors where it is refused, with the cost if that was
    /// counted. A document is kept once a request with it has passed.
    pub(super) fn cost(
        &self,
        request: &Request,
        document: &Arc<Document>,
        asking: &Asking,
    ) -> Result<usize, (usize, Vec<ServerError>)> {
        let shape = document.shape(request);
        if let Some(cost) = document.cost(&shape) {
            return Ok(cost);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        let counted = Arc::new(Counted::default());
        let mut copy =
            Request::new(request.query.as_str()).variables(request.variables.clone()).data(Arc::clone(&counted));
        copy.operation_name.clone_from(&request.operation_name);
        copy.set_parsed_query(document.parsed.clone());
        let response =
            block_on(self.schema.execute(copy), asking).unwrap_or_else(|error| Response::from_errors(vec![error]));
        let cost = counted.0.load(Ordering::Relaxed);
        if response.is_err() {
            return Err((cost, response.errors));
        }
        if cost > self.most {
            let way_out = narrow::of(&document.parsed, request).map_or("ask for less".to_owned(), |it| it.to_string());
            let message = format!("the query costs {cost}, page sizes counted, and may cost {}: {way_out}", self.most);
            return Err((cost, vec![Code::TooComplex.server_error(message)]));
        }
        document.passed(shape, cost);
        self.prepared.keep(&request.query, Arc::clone(document));
        Ok(cost)
    }
}

/// The cost of the request that is checked.
#[derive(Default)]
struct Counted(AtomicUsize);

/// Counts what a request costs, and lets nothing run: a schema with this extension only checks.
struct Cost {
    /// Longest page.
    page: usize,
}

impl ExtensionFactory for Cost {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self { page: self.page })
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
        if let Some(counted) = ctx.data_opt::<Arc<Counted>>() {
            counted.0.store(valid.complexity, Ordering::Relaxed);
        }
        Ok(valid)
    }

    async fn execute(&self, _: &ExtensionContext<'_>, _: Option<&str>, _: NextExecute<'_>) -> Response {
        Response::default()
    }
}
