//! Names and notes with markup and scripts in them: every page shows them as texts, and nothing in them runs.

use serde_json::json;
use stack::wait_for_async;

use crate::browser::Browser;
use crate::console::unlock;
use crate::shop::{DEADLINE, Shop};
use crate::storefront::enter;

/// Would leave a mark in the page's title and window if it ran, in the ways in which markup runs.
const PAYLOADS: [&str; 6] = [
    "<script>window.pwned=1</script>",
    "<img src=x onerror=window.pwned=2>",
    "\"><svg onload=window.pwned=3>",
    "'onmouseover='window.pwned=4",
    "<iframe srcdoc='<script>parent.pwned=5</script>'>",
    "</title></textarea><script>window.pwned=6</script>",
];

/// Nothing ran, and none of the elements is there that the payloads would make.
async fn check_quiet(browser: &Browser, page: &str) {
    let found = "const made = document.querySelectorAll('main script, main img, main iframe, [onerror], [onmouseover], [onload], \
                 dialog script, section script, section img, section iframe'); \
                 return [window.pwned ?? 0, made.length]";
    assert_eq!(browser.run(found).await, json!([0, 0]), "{page} runs what somebody wrote");
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "the policy had to help on {page}: {complaints:?}");
}

/// Waits until the page shows the texts as they were written.
async fn see_all(browser: &Browser, prefix: &str) {
    for payload in PAYLOADS {
        browser.see(&format!("{prefix}{payload}")).await;
    }
}

/// A shop in which everything has a name of that kind.
async fn a_shop_of_markup() -> Shop {
    let shop = Shop::open().await;
    shop.admin("/users", json!({"userId": "user1", "name": PAYLOADS[1], "balance": 1_000_000})).await;
    for (number, payload) in PAYLOADS.iter().enumerate() {
        let (product, coupon) = (format!("P{number}"), format!("C{number}"));
        let made = json!({"productId": product, "name": format!("p{payload}"), "description": format!("d{payload}"),
                          "price": 1_000, "stock": 9});
        shop.admin("/products", made).await;
        shop.coupon(&coupon, &format!("c{payload}"), 10, 5).await;
        shop.shopper(&format!("/coupons/{coupon}/issue"), json!({"userId": "user1"})).await;
        let item = json!({"userId": "user1", "productId": product, "quantity": 1});
        shop.shopper("/cart/items", item).await;
    }
    shop.world.set_fault(sandbox::Target::Orders, sandbox::Mode::Fail { status: 500 }).unwrap();
    let items: Vec<_> = (0..PAYLOADS.len()).map(|n| json!({"productId": format!("P{n}"), "quantity": 1})).collect();
    let placed = shop.shopper("/orders", json!({"userId": "user1", "items": items})).await;
    let order = placed["orderId"].as_str().unwrap_or_else(|| panic!("{placed}")).to_owned();
    wait_for_async("the order on the desk", DEADLINE, || async {
        let failures = shop.admin_get("/sync-failures?status=open").await;
        (failures["failures"].as_array()?.len() == 1).then_some(())
    })
    .await;
    shop.admin(&format!("/sync-failures/{order}/resolve"), json!({"note": PAYLOADS.concat()})).await;
    for number in 0..PAYLOADS.len() {
        let item = json!({"userId": "user1", "productId": format!("P{number}"), "quantity": 1});
        shop.shopper("/cart/items", item).await;
    }
    shop
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_texts_in_the_storefront() {
    let programs = programs_or_skip!();
    let shop = a_shop_of_markup().await;
    let browser = Browser::open(&programs, "ko").await;
    enter(&browser, &shop, "user1", "/").await;
    let order = shop.get("/orders?userId=user1").await["orders"][0]["orderId"].as_str().unwrap().to_owned();
    let order_page = format!("#/orders/{order}");
    for (page, prefix) in
        [("#/", "p"), ("#/coupons", "c"), ("#/wallet", "c"), ("#/cart", "p"), ("#/checkout", "p"), (&*order_page, "p")]
    {
        browser.go(&format!("{}/{page}", shop.base())).await;
        see_all(&browser, prefix).await;
        check_quiet(&browser, page).await;
    }
    for (number, payload) in PAYLOADS.iter().enumerate() {
        browser.go(&format!("{}/#/products/P{number}", shop.base())).await;
        browser.see(&format!("d{payload}")).await;
        check_quiet(&browser, "a product").await;
    }
    // What stands in the address is no better.
    for page in [
        "#/products/<img src=x onerror=window.pwned=7>",
        "#/?q=<script>window.pwned=8</script>",
        "#/sign-in?back=javascript:window.pwned=9",
    ] {
        browser.go(&format!("{}/{page}", shop.base())).await;
        browser.find("main:not([aria-busy]) h1").await;
        let ran = browser.run("return window.pwned ?? 0").await;
        assert_eq!(ran, 0, "{page}");
    }
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_notes_are_texts_in_the_console() {
    let programs = programs_or_skip!();
    let shop = a_shop_of_markup().await;
    let browser = Browser::open(&programs, "ko").await;
    unlock(&browser, &shop, "products").await;
    see_all(&browser, "p").await;
    check_quiet(&browser, "products").await;
    for (view, says) in [("coupons", PAYLOADS[0]), ("users", PAYLOADS[1]), ("log", PAYLOADS[0])] {
        browser.find(&format!("nav a[href='#{view}']")).await.click().await.unwrap();
        browser.find(&format!("nav a[href='#{view}'][aria-current=page]")).await;
        if view == "log" {
            browser.see("P0").await;
            // What was changed stands behind each entry.
            browser.run("document.querySelectorAll('details').forEach((entry) => { entry.open = true; })").await;
        } else {
            browser.see(says).await;
        }
        check_quiet(&browser, view).await;
    }
    browser.find("nav a[href='#desk']").await.click().await.unwrap();
    browser.find("nav a[href='#desk'][aria-current=page]").await;
    // The order that somebody settled with a note.
    browser.click("해결됨").await;
    browser.see(PAYLOADS[0]).await;
    check_quiet(&browser, "desk").await;
    browser.close().await;
}
