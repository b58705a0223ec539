//! Thousands of odd calls, made up from the document by somebody who does not know the shop: none may be a fault of ours,
//! and no answer may be one that the document does not tell of.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use serde_json::json;
use tokio::process::Command;

use crate::kit::{ADMIN_TOKEN, Plan, Shop};
use crate::worker::{Worker, receipts, yes};

/// Exact, so that everybody has the same calls.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// Calls that are made up for each operation, besides those at the edges of every schema.
const CALLS_PER_OPERATION: &str = "50";

/// That a member or a header is not known is no reason to refuse a call, so its check of that is left out; that what
/// demands a token gets one is a test of its own.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,unsupported_method";

/// A stream of events goes on until its request is decided, and behind a held lane none is.
const LEFT_OUT: &str = "/events$|/pause$";

/// How often the line is looked at for commands to be decided.
const LOOK_EVERY: Duration = Duration::from_millis(20);

async fn run(command: &mut Command) -> Result<Output, String> {
    let output = command.kill_on_drop(true).output().await.map_err(|error| format!("{command:?}: {error}"))?;
    let told = || format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(output) } else { Err(told()) }
}

/// The program, in an environment of its own below `target/`; it stays there for the next time.
async fn schemathesis() -> Result<PathBuf, String> {
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join(SCHEMATHESIS.replace("==", "-"));
    let program = environment.join("bin/schemathesis");
    if !program.is_file() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment)).await?;
        run(Command::new(environment.join("bin/pip")).args(["install", "--quiet", SCHEMATHESIS])).await?;
    }
    Ok(program)
}

async fn decide_all(shop: &Shop) {
    let workers = ["coupon", "order", "charge"].map(|group| Worker::of(shop, group));
    let mut looks = tokio::time::interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        for worker in &workers {
            if let Some(batch) = worker.claim_now().await {
                worker.ack(&batch, &receipts(&batch, yes), Vec::new()).await;
            }
        }
    }
}

#[tokio::test]
#[ignore = "takes long"]
async fn odd_calls_are_answered_as_told() {
    let program = match schemathesis().await {
        Ok(program) => program,
        Err(why) => return stack::tell_skipped(format_args!("{SCHEMATHESIS} cannot be installed here: {why}")),
    };
    let shop = Plan::default().env("RATE_LIMIT_PER_USER", "off").open().await;
    let product = json!({"productId": "P001", "name": "노트북", "price": 50_000, "stock": 1_000});
    shop.admin_post("/api/admin/products", &product).await;
    shop.admin_post("/api/admin/users", &json!({"userId": "user1", "balance": 1_000_000})).await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(program);
    command.args(["run", &format!("{}/openapi.json", shop.base), "--no-color", "--continue-on-failure"]);
    command.args(["--header", &format!("authorization: Bearer {ADMIN_TOKEN}"), "--checks", CHECKS]);
    command.args(["--max-examples", CALLS_PER_OPERATION, "--exclude-path-regex", LEFT_OUT]);
    command.args(["--phases", "examples,coverage,fuzzing", "--generation-database", "none"]);
    // It writes notes to where it runs.
    command.current_dir(folder.path()).kill_on_drop(true);
    let output = tokio::select! {
        output = command.output() => output.unwrap(),
        () = decide_all(&shop) => unreachable!("it looks for ever"),
    };
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!shop.api.log().contains("panicked"), "a panic was answered");
    let counted = told.lines().find(|line| line.contains(" generated, ")).expect("it says how many calls it made");
    eprintln!("{}", counted.trim());
}
