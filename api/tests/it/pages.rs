//! The pages as a browser gets them, and tokens for everybody where the shop is a demo.

use api::error_table::Code;
use serde_json::json;

use crate::kit::{Plan, Shop, send};

#[tokio::test]
async fn pages_come_with_what_a_browser_may_do() {
    let shop = Shop::open().await;
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/admin", "text/html; charset=utf-8"),
        ("/web/shop/shop.js", "text/javascript; charset=utf-8"),
        ("/web/shared/base.css", "text/css; charset=utf-8"),
        ("/web/shared/icon.svg", "image/svg+xml"),
    ] {
        let answer = send(shop.get(path)).await;
        assert_eq!(answer.status, 200, "{path}");
        for (name, value) in [
            ("content-type", content_type),
            ("content-security-policy", web::CONTENT_SECURITY_POLICY),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-cache"),
        ] {
            assert_eq!(answer.header(name), value, "{path}: {name}");
        }
    }
    let policy = web::CONTENT_SECURITY_POLICY;
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    assert!(["http", "*", "unsafe", "data:"].iter().all(|wide| !policy.contains(wide)), "{policy}");
}

#[tokio::test]
async fn a_copy_that_is_still_right_is_not_sent_again() {
    let shop = Shop::open().await;
    let tag = send(shop.get("/web/shop/shop.js")).await.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.len() > 20, "{tag}");
    for (kept, status) in [
        (tag.clone(), 304),
        (format!("W/{tag}"), 304),
        (format!("\"other\", {tag}"), 304),
        ("\"other\"".to_owned(), 200),
    ] {
        let answer = send(shop.get("/web/shop/shop.js").header("if-none-match", &kept)).await;
        assert_eq!((answer.status, answer.header("etag")), (status, &*tag), "{kept}");
    }
}

#[tokio::test]
async fn what_is_no_part_of_a_page_is_unknown() {
    let shop = Shop::open().await;
    for path in [
        "/shop",
        "/index.html",
        "/web",
        "/web/shop",
        "/web/shop/",
        "/web/shop/index.html",
        "/web/admin/index.html",
        "/web/shop/nothing.js",
        "/web/shop/shop",
        "/web/nothing/shop.js",
        "/web/shop/..%2fshared%2fbase.css",
        "/web/%2e%2e%2fsrc/lib.rs",
    ] {
        assert_eq!(send(shop.get(path)).await.problem(), (404, "X001"), "{path}");
    }
}

#[test]
fn shoppers_are_told_of_every_error() {
    let file = web::file("shop/texts-of-errors.js").unwrap();
    let texts = String::from_utf8(file.bytes.into_owned()).unwrap();
    for code in Code::ALL {
        let key = format!("  error{}: [", code.row().code);
        assert!(texts.contains(&key), "{key}");
    }
}

#[tokio::test]
async fn a_demo_gives_tokens_to_everybody() {
    let sandbox = sandbox::Sandbox::start(sandbox::Options::default()).await.unwrap();
    let keys = format!("{}/.well-known/jwks.json", sandbox.url());
    let plan = Plan::default().env("AUTH_MODE", "jwt").env("JWT_JWKS_URL", keys);
    let plan = plan.env("JWT_ISSUER", sandbox::ISSUER_DEFAULT).env("JWT_AUDIENCE", sandbox::AUDIENCE_DEFAULT);
    let shop = plan.env("DEMO_TOKENS_URL", format!("{}/tokens", sandbox.url())).open().await;
    assert_eq!(send(shop.get("/web/settings")).await.body, json!({"auth": "jwt", "demoTokens": true}));
    let ask = |body| send(shop.post("/web/tokens", &body));
    let answer = ask(json!({"userId": "user1", "role": "admin"})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let token = answer.body["token"].as_str().unwrap().to_owned();
    let balance = send(shop.get("/api/users/balance").bearer_auth(&token)).await;
    assert_eq!(balance.body, json!({"userId": "user1", "balance": 0}));
    let as_operator = send(shop.get("/api/admin/users").bearer_auth(&token)).await;
    assert_eq!(as_operator.problem(), (403, "A002"), "the role is not handed on");
    for body in [json!({}), json!({"userId": "two words"}), json!({"userId": 7})] {
        assert_eq!(ask(body.clone()).await.problem(), (400, "V001"), "{body}");
    }
    drop(sandbox);
    let away = ask(json!({"userId": "user1"})).await;
    assert_eq!(away.problem(), (503, "R005"));
    assert!(!away.header("retry-after").is_empty());
}

#[tokio::test]
async fn other_shops_give_tokens_to_nobody() {
    for plan in [Plan::default(), Plan::default().env("DEMO_TOKENS_URL", "")] {
        let shop = plan.open().await;
        assert_eq!(send(shop.get("/web/settings")).await.body, json!({"auth": "off", "demoTokens": false}));
        assert_eq!(send(shop.post("/web/tokens", &json!({"userId": "user1"}))).await.problem(), (404, "X001"));
    }
    let mut shop = Plan::default().env("DEMO_TOKENS_URL", "ftp://127.0.0.1/tokens").start();
    assert!(!shop.wait_for_exit().success());
    assert!(shop.api.log().contains("DEMO_TOKENS_URL"), "{}", shop.api.log());
}
