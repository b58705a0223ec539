//! Every page, in both languages and at two widths: axe-core finds nothing serious, nothing is wider than the window, the
//! browser complains of nothing, and a picture of it goes to `target/screenshots`.

use serde_json::json;
use stack::wait_for_async;

use crate::axe;
use crate::browser::{Browser, NARROW, Programs, WIDE};
use crate::console::unlock;
use crate::shop::{DEADLINE, Shop};

/// Names of pictures, addresses, and a text that says that the page is there, in Korean and in English.
const SHOP_PAGES: [(&str, &str, [&str; 2]); 9] = [
    ("products", "#/", ["노트북", "노트북"]),
    ("product", "#/products/P001", ["장바구니 담기", "Put into cart"]),
    ("coupons", "#/coupons", ["남은 수량", "left"]),
    ("wallet", "#/wallet", ["십 퍼센트", "십 퍼센트"]),
    ("cart", "#/cart", ["키보드", "키보드"]),
    ("checkout", "#/checkout", ["결제하기", "Pay"]),
    ("balance", "#/balance", ["충전하기", "Charge"]),
    ("orders", "#/orders", ["노트북", "노트북"]),
    ("sign-in", "#/sign-in", ["다른 사용자 ID", "Another user"]),
];

const CONSOLE_VIEWS: [&str; 9] =
    ["lanes", "desk", "charges", "products", "coupons", "users", "requests", "audit", "log"];

/// A shop in which every page has something to show.
async fn a_shop_with_everything() -> Shop {
    let shop = Shop::open().await;
    for (id, name, price, stock) in
        [("P001", "노트북", 1_290_000, 5), ("P002", "키보드", 89_000, 40), ("P003", "모니터", 350_000, 0)]
    {
        shop.product(id, name, price, stock).await;
    }
    shop.user("user1", 3_000_000).await;
    shop.coupon("TEN", "십 퍼센트", 10, 5).await;
    shop.coupon("GONE", "마감된 쿠폰", 20, 1).await;
    shop.shopper("/coupons/TEN/issue", json!({"userId": "user1"})).await;
    shop.shopper("/coupons/GONE/issue", json!({"userId": "user2"})).await;
    shop.shopper("/coupons/GONE/issue", json!({"userId": "user1"})).await;
    shop.world.set_fault(sandbox::Target::Orders, sandbox::Mode::Fail { status: 500 }).unwrap();
    let order = json!({"userId": "user1", "items": [{"productId": "P001", "quantity": 1}]});
    shop.shopper("/orders", order).await;
    shop.shopper("/cart/items", json!({"userId": "user1", "productId": "P002", "quantity": 2})).await;
    shop.world.set_fault(sandbox::Target::Gateway, sandbox::Mode::TakeAndCut).unwrap();
    shop.submit("/users/balance/charge", json!({"userId": "user2", "amount": 50_000})).await;
    shop.admin("/lanes/product:P003/pause", json!({})).await;
    wait_for_async("the failed order on the desk", DEADLINE, || async {
        let open = shop.admin_get("/alerts?status=open").await;
        (open["alerts"].as_array()?.len() == 1).then_some(())
    })
    .await;
    shop
}

/// Looks at the page as it is now, at both widths.
async fn look(browser: &Browser, axe: Option<&str>, name: &str) {
    for (size, width) in [(WIDE, "wide"), (NARROW, "narrow")] {
        browser.resize(size).await;
        let what = format!("{name}-{width}");
        let overhang =
            browser.run("const page = document.documentElement; return page.scrollWidth - page.clientWidth").await;
        assert!(overhang.as_i64().unwrap() <= 0, "{what} is {overhang} px wider than the window");
        browser.keep_picture(&what).await;
        if let Some(axe) = axe {
            axe::check(browser, axe, &what).await;
        }
    }
}

/// Opens a page of the shop, and waits until it is there and has all that it shows: the one before may say the same.
async fn open(browser: &Browser, url: &str) {
    browser.run("document.querySelector('main h1')?.setAttribute('data-before', '')").await;
    browser.go(url).await;
    browser.find("main:not([aria-busy]) h1:not([data-before])").await;
    wait_for_async("nothing to be busy", DEADLINE, || async {
        (browser.run("return document.querySelectorAll('[aria-busy]').length").await == 0).then_some(())
    })
    .await;
}

async fn every_page(programs: &Programs, language: &str) {
    let axe = axe::script_or_none();
    let shop = a_shop_with_everything().await;
    let of_language = usize::from(language == "en");
    let browser = Browser::open(programs, language).await;
    browser.go(&format!("{}/#/sign-in?back=/wallet?status=USED", shop.base())).await;
    browser.find("button.shopper").await.click().await.unwrap();
    browser.find("#sign-out").await;
    for (name, address, says) in SHOP_PAGES {
        open(&browser, &format!("{}/{address}", shop.base())).await;
        browser.see(says[of_language]).await;
        look(&browser, axe, &format!("shop-{name}-{language}")).await;
    }
    let orders = shop.get("/orders?userId=user1").await;
    let order = orders["orders"][0]["orderId"].as_str().unwrap();
    open(&browser, &format!("{}/#/orders/{order}", shop.base())).await;
    browser.see("1,290,000").await;
    look(&browser, axe, &format!("shop-order-{language}")).await;

    browser.go(&format!("{}/admin", shop.base())).await;
    browser.find("input[type=password]").await;
    look(&browser, axe, &format!("admin-token-{language}")).await;
    unlock(&browser, &shop, CONSOLE_VIEWS[0]).await;
    let requests = shop.admin_get("/requests?userId=user1").await;
    let request = requests["requests"][0]["requestId"].as_str().unwrap();
    for view in CONSOLE_VIEWS {
        browser.find(&format!("nav a[href='#{view}']")).await.click().await.unwrap();
        browser.find(&format!("nav a[href='#{view}'][aria-current=page]")).await;
        match view {
            "lanes" => drop(browser.find("section:not([hidden]) [data-key=groups] article").await),
            "desk" => browser.see("500").await,
            "charges" => browser.see("user2").await,
            "products" => browser.see("P003").await,
            "coupons" => browser.see("GONE").await,
            "requests" => {
                browser.find("section:not([hidden]) input").await.send_keys(request).await.unwrap();
                browser.find("section:not([hidden]) button[type=submit]").await.click().await.unwrap();
                browser.find(".timeline").await;
            }
            "audit" => {
                browser.find("section:not([hidden]) button.primary").await.click().await.unwrap();
                browser.find("section:not([hidden]) .notice.good").await;
            }
            "users" => browser.see("user1").await,
            "log" => browser.see("product:P003").await,
            other => panic!("nobody knows when {other} is there"),
        }
        look(&browser, axe, &format!("admin-{view}-{language}")).await;
    }
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "the browser complains: {complaints:?}");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_in_korean() {
    every_page(&programs_or_skip!(), "ko").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_in_english() {
    every_page(&programs_or_skip!(), "en").await;
}
