//! The gauges of the line. Both programs set them, because a line that nobody works on must be seen growing.

use std::time::Duration;

use lanes::{Depth, Lane, Lanes};

use crate::{causes::chain, limits::LINE_GAUGES_SECONDS, metrics, redis_durability};

/// Looks at the lines, and at the Redis that keeps them, again and again, until dropped. A look that fails leaves the
/// gauges as they were: the failure is counted with its script.
pub async fn keep_line_gauges(lines: Vec<Lanes>) {
    let mut tick = tokio::time::interval(Duration::from_secs(LINE_GAUGES_SECONDS));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        for line in &lines {
            // One lane, because the question needs a number.
            if let Ok(depth) = line.depth(1).await {
                show(&line.group().to_string(), &depth);
            }
        }
        // Settings can be changed while Redis runs, and nobody would tell us.
        if let Some(line) = lines.first()
            && let Some(error) = redis_durability::check_all(line.link()).await.failure
        {
            tracing::debug!(error = chain(&error), "not every Redis of the lines can be asked about its durability");
        }
    }
}

fn show(group: &str, depth: &Depth) {
    let whole_group = Lane::whole_group();
    let held = depth.paused.iter().any(|lane| lane == whole_group.as_str());
    let paused = depth.paused.len() - usize::from(held);
    let oldest_age = depth.oldest_age.unwrap_or_default();
    metrics::depth(group.to_owned()).set(depth.waiting as f64);
    metrics::in_flight(group.to_owned()).set(depth.in_flight as f64);
    metrics::ready(group.to_owned()).set(if held { 0.0 } else { depth.ready as f64 });
    metrics::oldest_age_seconds(group.to_owned()).set(oldest_age.as_secs_f64());
    metrics::lanes_paused(group.to_owned()).set(paused as f64);
    metrics::group_held(group.to_owned()).set(f64::from(u8::from(held)));
}
