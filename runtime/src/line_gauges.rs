//! The gauges of the line. Both programs set them, because a line that nobody works on must be seen growing.

use std::time::Duration;

use lanes::Lanes;

use crate::{limits::LINE_GAUGES_SECONDS, metrics};

/// Looks at the lines again and again, until dropped. A look that fails leaves the gauges as they were: the failure is
/// counted with its script.
pub async fn keep_line_gauges(lines: Vec<Lanes>) {
    let mut tick = tokio::time::interval(Duration::from_secs(LINE_GAUGES_SECONDS));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        for line in &lines {
            // One lane, because the question needs a number.
            if let Ok(depth) = line.depth(1).await {
                let group = line.group().to_string();
                metrics::depth(group.clone()).set(depth.waiting as f64);
                metrics::in_flight(group.clone()).set(depth.in_flight as f64);
                metrics::oldest_age_seconds(group).set(depth.oldest_age.unwrap_or_default().as_secs_f64());
            }
        }
    }
}
