//! Random steps against a naive model. After every step all keys, counters, positions and answers are compared, every
//! claimed batch must be one that the rules allow, and in the end everybody has an outcome and nothing is left over.

mod legal;
mod look;
mod naive;
mod world;

use std::{
    ops::Range,
    sync::{Arc, Mutex},
};

use futures::{StreamExt, stream};
use stack::{Redis, RedisOptions};

/// Histories that are always played. `DROPLANE_MODEL_SEEDS` names another number of them, and `DROPLANE_MODEL_SEED`
/// plays a single one again.
const SEEDS: u64 = 300;
const STEPS: usize = 60;
/// Histories are played side by side, each in a group of its own, so that none waits for the other's round trips.
const AT_ONCE: usize = 8;

/// Histories that are played on top of those when time does not matter.
const MORE_SEEDS: u64 = 5_000;

#[tokio::test]
async fn the_lanes_do_what_the_model_says() {
    play_all(match number("DROPLANE_MODEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("DROPLANE_MODEL_SEEDS").unwrap_or(SEEDS),
    })
    .await;
}

#[tokio::test]
#[ignore = "takes long"]
async fn the_lanes_do_what_the_model_says_many_times_over() {
    play_all(SEEDS..SEEDS + MORE_SEEDS).await;
}

async fn play_all(seeds: Range<u64>) {
    let redis = Redis::start(RedisOptions { append_only: false, ..RedisOptions::default() }).unwrap();
    let histories = seeds.end - seeds.start;
    let decided: usize = stream::iter(seeds)
        .map(|seed| play_or_tell(redis.url(), seed))
        .buffer_unordered(AT_ONCE)
        .fold(0, async |sum, decided| sum + decided)
        .await;
    // Most histories must get somewhere, or the model proves nothing.
    assert!(decided as u64 > 10 * histories, "only {decided} commands were decided in {histories} histories");
}

#[expect(clippy::disallowed_methods, reason = "a test has no command line of its own")]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

async fn play_or_tell(url: String, seed: u64) -> usize {
    let log = Arc::new(Mutex::new(Vec::new()));
    let played = tokio::spawn(play(url, seed, Arc::clone(&log))).await;
    played.unwrap_or_else(|failed| {
        let steps = log.lock().unwrap().join("\n");
        panic!("{steps}\nDROPLANE_MODEL_SEED={seed} failed at the last of these steps: {failed}")
    })
}

async fn play(url: String, seed: u64, log: Arc<Mutex<Vec<String>>>) -> usize {
    let mut world = world::World::new(&url, seed, log).await;
    for _ in 0..STEPS {
        world.step().await;
    }
    world.drain().await;
    world.decided()
}
