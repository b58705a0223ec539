//! What every handler can reach.

use std::ops::Deref;
use std::sync::Arc;

use common::UserId;
use popular::Cache;
use runtime::postgres::BoundedPool;

use crate::auth::Auth;
use crate::client::Network;
use crate::demo_tokens::DemoTokens;
use crate::durability::DurabilityWatch;
use crate::human::HumanCheck;
use crate::lines::Lines;
use crate::rate_limit::SenderLimit;
use crate::sold_out::SoldOut;
use crate::terms::AllTerms;
use crate::wait::Waiters;

/// The parts of the running program; a copy shares them.
#[derive(Clone)]
pub struct AppState(Arc<Parts>);

/// The parts of the running program.
pub struct Parts {
    /// Postgres, for reads and operators' changes.
    pub pool: BoundedPool,
    /// The lines.
    pub lines: Lines,
    /// Who may do what.
    pub auth: Auth,
    /// Tokens for everybody, in a demo.
    pub demo_tokens: Option<DemoTokens>,
    /// Clients that wait for an outcome.
    pub waiters: Arc<Waiters>,
    /// The answers of closed gates.
    pub sold_out: SoldOut,
    /// What coupons demand of claims.
    pub terms: Arc<AllTerms>,
    /// Who says whether a claim was made by a person.
    pub human_check: Option<HumanCheck>,
    /// How often one shopper may send commands.
    pub user_limit: SenderLimit<UserId>,
    /// How often one address may.
    pub address_limit: SenderLimit<Network>,
    /// The popular products.
    pub popular: Cache,
    /// Whether Redis keeps what it accepts.
    pub durability: Arc<DurabilityWatch>,
}

impl AppState {
    /// Shares the parts.
    pub fn new(parts: Parts) -> AppState {
        AppState(Arc::new(parts))
    }
}

impl Deref for AppState {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
