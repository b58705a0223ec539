//! The lines as they stand now, and holding one of them.

use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use common::{Group, LaneName};
use lanes::Lane;
use runtime::metrics::alert_kind;
use runtime::postgres::BoundedPool;
use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audit_log::Change;
use super::change;
use crate::auth::Operator;
use crate::error_table::Code;
use crate::extract::PathId;
use crate::limits::{SHOWN_LANES_MAX, THROUGHPUT_BATCHES_MAX, THROUGHPUT_SECONDS};
use crate::lines::Line;
use crate::openapi::{OfOperator, Refused, WithInput};
use crate::problem::Problem;
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(pause)).routes(routes!(resume))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LaneGroups)]
struct Shown {
    groups: Vec<ShownGroup>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LaneGroup)]
struct ShownGroup {
    group: String,
    depth: u64,
    in_flight: u64,
    batches: u64,
    ready: u64,
    oldest_age_ms: Option<u64>,
    /// Null while Postgres cannot be asked: the line itself is shown all the same.
    decided_per_second: Option<f64>,
    longest_lanes: Vec<ShownLane>,
    paused_lanes: Vec<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = LaneDepth)]
struct ShownLane {
    lane: String,
    depth: u64,
}

/// The lines as they stand now.
#[utoipa::path(
    get,
    path = "/api/admin/lanes",
    operation_id = "showLanes",
    responses((status = 200, body = Shown), Refused<(OfOperator,)>),
)]
async fn show(State(state): State<AppState>, _: Operator) -> Result<Json<Shown>, Problem> {
    let groups = state.lines.all().map(|(group, line)| show_group(&state.pool, *group, line));
    let groups = futures::future::try_join_all(groups).await?;
    Ok(Json(Shown { groups }))
}

async fn show_group(pool: &BoundedPool, group: Group, line: &Line) -> Result<ShownGroup, Problem> {
    let group = group.to_string();
    let depth = line.lanes.depth(SHOWN_LANES_MAX).await?;
    let decided_per_second = throughput(pool, &group).await.ok();
    Ok(ShownGroup {
        depth: depth.waiting,
        in_flight: depth.in_flight,
        batches: depth.leases,
        ready: depth.ready,
        oldest_age_ms: depth.oldest_age.and_then(|age| u64::try_from(age.as_millis()).ok()),
        decided_per_second,
        longest_lanes: depth.longest.into_iter().map(|(lane, depth)| ShownLane { lane, depth }).collect(),
        paused_lanes: depth.paused.iter().map(|lane| shown_name(&group, lane)).collect(),
        group,
    })
}

async fn throughput(pool: &BoundedPool, group: &str) -> Result<f64, sqlx::Error> {
    sqlx::query_scalar(
        "select -- newest batches first by the index; when they do not reach back the whole span, that which they cover
                coalesce(sum(size), 0)::float8
                / case when count(*) < $3 then $2::float8
                       else greatest(extract(epoch from now() - min(decided_at))::float8, 0.001) end
           from (select size, decided_at
                   from batches
                  where lane_group = $1
                  order by last_ticket desc
                  limit $3) as newest
          where decided_at > now() - make_interval(secs => $2::float8)",
    )
    .bind(group)
    .bind(THROUGHPUT_SECONDS as f64)
    .bind(THROUGHPUT_BATCHES_MAX)
    .fetch_one(pool)
    .await
}

/// What can be held: the lane of a resource, or all lanes of a group, written `order:*`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Held {
    Lane(LaneName),
    Group(Group),
}

const WHOLE_GROUP: &str = "*";

impl FromStr for Held {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, &'static str> {
        let group = name.strip_suffix(":*").and_then(|group| group.parse().ok());
        group
            .map(Held::Group)
            .or_else(|| common::lane::parse(name).map(Held::Lane))
            .ok_or("must be coupon:{couponId}, product:{productId}, user:{userId}, charge:{userId}, or {group}:*")
    }
}

impl Held {
    fn group(&self, coupon_groups: u8) -> Group {
        match self {
            Held::Lane(lane) => lane.group(coupon_groups),
            Held::Group(group) => *group,
        }
    }

    /// The name within its group.
    fn lane(&self) -> Result<Lane, Problem> {
        match self {
            Held::Lane(lane) => lane.to_string().parse().map_err(Problem::internal),
            Held::Group(_) => Ok(Lane::whole_group()),
        }
    }
}

fn shown_name(group: &str, lane: &str) -> String {
    if lane == WHOLE_GROUP { format!("{group}:{WHOLE_GROUP}") } else { lane.to_owned() }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LanePaused)]
struct Paused {
    lane: String,
    paused: bool,
    /// Commands that wait because of it, those behind it in other lanes included.
    waiting: u64,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LaneResumed)]
struct Resumed {
    lane: String,
    paused: bool,
    was_paused: bool,
}

/// Holds one resource, or a whole group, without losing its line.
///
/// Postgres first: a pause that only Redis knew would be forgotten with its data. When the second half fails the
/// operator is told, and repeating does both again.
#[utoipa::path(
    post,
    path = "/api/admin/lanes/{lane}/pause",
    operation_id = "pauseLane",
    responses((status = 200, body = Paused), Refused<(WithInput, OfOperator)>),
)]
async fn pause(
    State(state): State<AppState>,
    operator: Operator,
    PathId(held): PathId<Held>,
) -> Result<Json<Paused>, Problem> {
    let group = held.group(state.lines.coupon_groups());
    let (line, lane) = (line_of(&state, group)?, held.lane()?);
    let mut transaction = change(&state.pool).await?;
    let inserted = sqlx::query(
        "insert into paused_lanes (lane_group, lane, paused_by)
         values ($1, $2, $3)
         on conflict do nothing",
    )
    .bind(group.to_string())
    .bind(lane.as_str())
    .bind(&operator.actor)
    .execute(&mut *transaction)
    .await?;
    let lane_name = shown_name(&group.to_string(), lane.as_str());
    let was_paused = inserted.rows_affected() == 0;
    lane_change(&operator, "lane.pause", &lane_name, [was_paused, true]).record(&mut transaction).await?;
    transaction.commit().await?;
    let waiting = line.lanes.pause(&lane).await?;
    Ok(Json(Paused { lane: lane_name, paused: true, waiting }))
}

/// Lets a lane go on.
#[utoipa::path(
    post,
    path = "/api/admin/lanes/{lane}/resume",
    operation_id = "resumeLane",
    responses((status = 200, body = Resumed), Refused<(WithInput, OfOperator)>),
)]
async fn resume(
    State(state): State<AppState>,
    operator: Operator,
    PathId(held): PathId<Held>,
) -> Result<Json<Resumed>, Problem> {
    let group = held.group(state.lines.coupon_groups());
    let (line, lane) = (line_of(&state, group)?, held.lane()?);
    let mut transaction = change(&state.pool).await?;
    let deleted = sqlx::query("delete from paused_lanes where lane_group = $1 and lane = $2")
        .bind(group.to_string())
        .bind(lane.as_str())
        .execute(&mut *transaction)
        .await?;
    let lane_name = shown_name(&group.to_string(), lane.as_str());
    let was_paused = deleted.rows_affected() == 1;
    if lane == Lane::whole_group() {
        end_alerts(&mut transaction, group).await?;
    }
    lane_change(&operator, "lane.resume", &lane_name, [was_paused, false]).record(&mut transaction).await?;
    transaction.commit().await?;
    let was_paused = line.lanes.resume(&lane).await?;
    Ok(Json(Resumed { lane: lane_name, paused: false, was_paused }))
}

/// A group that goes on is no longer what admins were told that it is.
async fn end_alerts(connection: &mut PgConnection, group: Group) -> Result<(), Problem> {
    sqlx::query(
        "update alerts
            set resolved_at = clock_timestamp()
          where kind = $1 and resolved_at is null and details ->> 'group' = $2",
    )
    .bind(alert_kind::GROUP_HELD)
    .bind(group.to_string())
    .execute(connection)
    .await?;
    Ok(())
}

fn line_of(state: &AppState, group: Group) -> Result<&Line, Problem> {
    state.lines.of(group).ok_or_else(|| {
        Problem::new(Code::V001).with(
            "errors",
            json!([
                {"field": "lane", "message": "belongs to a group that is not configured"}
            ]),
        )
    })
}

fn lane_change<'a>(operator: &'a Operator, action: &'a str, lane: &str, paused: [bool; 2]) -> Change<'a> {
    let [before, after] = paused.map(|paused| Some(json!({"paused": paused})));
    Change { operator, action, subject: lane.to_owned(), before, after, last_ticket: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_what_can_be_held() {
        for good in ["coupon:C1", "product:P001", "user:user1", "charge:user1"] {
            assert!(matches!(good.parse(), Ok(Held::Lane(_))), "{good}");
        }
        for good in ["coupon:*", "coupon-3:*", "order:*", "charge:*"] {
            assert!(matches!(good.parse(), Ok(Held::Group(_))), "{good}");
        }
        for bad in
            ["", "*", "C1", "coupon:", "cart:user1", "coupon:two words", "product:*", "coupon-0:*", "coupon:C1:*"]
        {
            assert!(bad.parse::<Held>().is_err(), "{bad}");
        }
    }
}
