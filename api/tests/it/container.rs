//! What a container needs: secrets in files, a question about its health, and a proxy that says who called.

use stack::Launch;

use crate::kit::{ADMIN_TOKEN, DEADLINE, EXIT_DEADLINE, Plan, send};

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_a_file_opens_the_same_door() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin_token");
    std::fs::write(&path, format!("{ADMIN_TOKEN}\n")).unwrap();
    let shop = Plan::default().env("ADMIN_TOKEN", "").env("ADMIN_TOKEN_FILE", path.to_str().unwrap()).open().await;
    assert_eq!(send(shop.as_admin(reqwest::Method::GET, "/api/admin/lanes")).await.status, 200);
    assert_eq!(send(shop.get("/api/admin/lanes")).await.status, 401);
}

#[test]
fn a_secret_that_is_given_twice_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut refused = Launch::new(env!("CARGO_BIN_EXE_api"), folder.path().join("log"))
        .only_env()
        .env("DATABASE_URL", "postgres:///a")
        .env("DATABASE_URL_FILE", folder.path().join("b"))
        .spawn()
        .unwrap();
    assert!(!refused.wait(EXIT_DEADLINE).unwrap().success());
    assert!(refused.log().contains("DATABASE_URL and DATABASE_URL_FILE are both given"), "{}", refused.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn its_health_is_whether_it_is_ready() {
    let mut shop = Plan::default().open().await;
    let folder = tempfile::tempdir().unwrap();
    let metrics = shop.operators.trim_start_matches("http://").to_owned();
    let ask = || {
        let launch = Launch::new(env!("CARGO_BIN_EXE_api"), folder.path().join("log")).only_env().arg("health");
        let mut asking = launch.env("METRICS_ADDR", &metrics).spawn().unwrap();
        (asking.wait(DEADLINE).unwrap().success(), asking.log())
    };
    assert_eq!(ask(), (true, String::new()));
    shop.api.stop();
    let (healthy, log) = ask();
    assert!(!healthy && log.contains(&format!("nobody answers at METRICS_ADDR {metrics}")), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_who_called_as_far_as_it_can_be_believed() {
    let shop = Plan::default().env("TRUSTED_PROXIES", "127.0.0.0/8").open().await;
    let rows =
        [("one", None, "127.0.0.1"), ("two", Some("203.0.113.7"), "203.0.113.7"), ("three", Some("who"), "127.0.0.1")];
    for (id, forwarded, client) in rows {
        let mut request = shop.get("/api/products").header("x-request-id", id);
        if let Some(forwarded) = forwarded {
            request = request.header("x-forwarded-for", forwarded);
        }
        // Where whoever is named is believed, nobody comes through a proxy; the line says it all the same.
        assert_eq!(send(request).await.status, if forwarded.is_some() { 403 } else { 200 });
        shop.wait_for_log(&format!("id=\"{id}\" client={client} "));
    }
}
