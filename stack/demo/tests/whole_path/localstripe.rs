//! Charges through `localstripe`, a double of Stripe that others wrote. It is installed from PyPI below the build folder;
//! where that cannot be done, the test says so and looks at nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};
use stack::{Launch, Process, free_port, wait_for_async};

use crate::shop::{DEADLINE, Shop, answer};

/// Pinned: what comes later may speak otherwise.
const PACKAGE: &str = "localstripe==1.15.10";

/// The program, installed once for all runs; why not, where it cannot be.
fn installed() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(PACKAGE);
    let program = folder.join("bin/localstripe");
    if program.is_file() {
        return Ok(program);
    }
    let run = |program: &Path, arguments: &[&str]| match Command::new(program).args(arguments).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("{}: {error}", program.display())),
    };
    let folder_text = folder.to_str().unwrap();
    run(Path::new("python3"), &["-m", "venv", folder_text])?;
    run(&folder.join("bin/pip"), &["install", "--quiet", "--retries", "1", "--timeout", "15", PACKAGE])?;
    Ok(program)
}

async fn start(program: &Path, folder: &Path) -> (Process, String) {
    let port = free_port();
    let launch =
        Launch::new(program, folder.join("localstripe.log")).args(["--from-scratch", "--port", &port.to_string()]);
    let mut process = launch.spawn().unwrap();
    let url = format!("http://127.0.0.1:{port}");
    wait_for_async("localstripe to answer", DEADLINE, || {
        assert!(process.is_running(), "{}", process.log_tail(20));
        let url = url.clone();
        async move { get(&url, "/v1/charges").await }
    })
    .await;
    (process, url)
}

async fn get(url: &str, path: &str) -> Option<Value> {
    let get = reqwest::Client::new().get(format!("{url}{path}")).bearer_auth("sk_test_any");
    get.send().await.ok()?.json().await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn charges_go_through_a_double_of_stripe() {
    let program = match installed() {
        Ok(program) => program,
        Err(why) => return stack::tell_skipped(format_args!("{PACKAGE} cannot be installed here: {why}")),
    };
    let folder = tempfile::tempdir().unwrap();
    let (_process, url) = start(&program, folder.path()).await;
    let shop = Shop::open_with(&[("PAYMENT_GATEWAY_URL", &url), ("PAYMENT_GATEWAY_SECRET", "sk_test_any")]).await;
    let charge = |body: Value, key: &str| {
        let request = shop.request(Method::POST, "/api/users/balance/charge").json(&body);
        answer(request.header("idempotency-key", key.to_owned()).header("prefer", "wait=30"))
    };

    let (status, charged) = charge(json!({"userId": "user1", "amount": 50_000}), "one").await;
    assert_eq!((status, &charged["currentBalance"]), (200, &50_000.into()), "{charged}");
    assert_eq!(charge(json!({"userId": "user1", "amount": 50_000}), "one").await, (200, charged.clone()));

    for method in ["pm_card_chargeCustomerFail", "pm_nobody_knows", "none"] {
        let body = json!({"userId": "user1", "amount": 7, "paymentMethod": method});
        let (status, refused) = charge(body, method).await;
        assert_eq!((status, &refused["code"]), (402, &"PAY002".into()), "{method}: {refused}");
        assert!(refused["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{method}: {refused}");
    }

    let intents = get(&url, "/v1/payment_intents?limit=100").await.unwrap();
    let paid: Vec<_> = intents["data"].as_array().unwrap().iter().filter(|one| one["status"] == "succeeded").collect();
    assert_eq!(paid.len(), 1, "{intents:#}");
    assert_eq!((&paid[0]["amount"], &paid[0]["currency"]), (&50_000.into(), &"krw".into()));
    assert_eq!(paid[0]["metadata"]["chargeId"], charged["chargeId"]);
    assert_eq!(shop.admin_get("/audit").await["ok"], true);
}
