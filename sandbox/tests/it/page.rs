//! The page, which must work without any other host.

use reqwest::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};

use crate::kit::Kit;

#[tokio::test]
async fn the_page_brings_all_that_it_needs() {
    let kit = Kit::start().await;
    let get = |path: String| kit.http.get(kit.url(&path)).send();
    let page = get("/".to_owned()).await.unwrap();
    assert_eq!(page.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
    assert!(page.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("default-src 'self'"));
    let page = page.text().await.unwrap();
    for list in ["payments", "ledger", "orders", "mails", "alerts", "humans"] {
        assert!(page.contains(&format!("<table id=\"{list}\">")), "{list}");
    }
    let mut named = Vec::new();
    for attribute in ["src=\"", "href=\""] {
        named.extend(page.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()));
    }
    assert_eq!(named, ["sandbox.js", "sandbox.css"]);
    for (name, kind) in named.into_iter().zip(["text/javascript", "text/css"]) {
        let file = get(format!("/{name}")).await.unwrap();
        assert_eq!(file.status(), 200, "{name}");
        assert!(file.headers()[CONTENT_TYPE].to_str().unwrap().starts_with(kind), "{name}");
        assert!(!file.text().await.unwrap().contains("://"), "{name} names another host");
    }
    assert!(!page.contains("://"));
    assert_eq!(kit.get("/nothing").await.status, 404);
}
