//! What operators do in the console.

use serde_json::json;

use crate::browser::Browser;
use crate::shop::{ADMIN_TOKEN, Shop};

/// Unlocks the console on this view.
pub async fn unlock(browser: &Browser, shop: &Shop, view: &str) {
    browser.go(&format!("{}/admin#{view}", shop.base())).await;
    browser.find("input[type=password]").await.send_keys(ADMIN_TOKEN).await.unwrap();
    browser.find("form button[type=submit]").await.click().await.unwrap();
    browser.find("nav a[aria-current=page]").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_comes_to_the_desk_with_its_alert_and_goes_by_a_retry() {
    let programs = programs_or_skip!();
    let shop = Shop::open().await;
    shop.product("P001", "노트북", 1_000, 5).await;
    shop.user("user1", 10_000).await;
    shop.world.set_fault(sandbox::Target::Orders, sandbox::Mode::Fail { status: 503 }).unwrap();
    let order = json!({"userId": "user1", "items": [{"productId": "P001", "quantity": 1}]});
    let placed = shop.shopper("/orders", order).await;
    let order_id = placed["orderId"].as_str().unwrap_or_else(|| panic!("{placed}"));
    let browser = Browser::open(&programs, "ko").await;
    unlock(&browser, &shop, "desk").await;
    browser.see(order_id).await;
    browser.see("시도 4회").await;
    browser.find("summary").await.click().await.unwrap();
    browser.see("503").await;
    browser.see("주문 전송 실패").await;
    browser.see("전달됨").await;
    // The order system is well again, and an operator tries once more.
    shop.world.set_fault(sandbox::Target::Orders, sandbox::Mode::Ok).unwrap();
    browser.find("button[data-act=retry]").await.click().await.unwrap();
    browser.see("실패한 전송이 없습니다.").await;
    browser.see("알림이 없습니다.").await;
    let failures = shop.admin_get("/sync-failures?status=open").await;
    assert_eq!(failures["failures"], json!([]), "{failures}");
    let order = format!("/orders/{order_id}?userId=user1");
    assert_eq!(shop.get(&order).await["sync"]["synced"], true);
    // No data in the address, and the token only in this tab.
    let kept = browser.run("return [location.href, JSON.stringify(localStorage), document.cookie].join(' ')").await;
    let kept = kept.as_str().unwrap();
    assert!(!kept.contains(ADMIN_TOKEN) && !kept.contains(order_id), "{kept}");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_is_paused_and_resumed_while_somebody_waits() {
    let programs = programs_or_skip!();
    let shop = Shop::open().await;
    shop.coupon("C1", "선착순 쿠폰", 10, 5).await;
    let browser = Browser::open(&programs, "ko").await;
    unlock(&browser, &shop, "lanes").await;
    browser.click("이름으로 레인 멈추기").await;
    browser.fill("레인", "coupon:C1").await;
    browser.find("dialog button[type=submit]").await.click().await.unwrap();
    browser.see("coupon:C1: 멈췄습니다").await;
    // Somebody comes, and is seen waiting.
    let claim = shop.submit("/coupons/C1/issue", json!({"userId": "user1"})).await;
    let history = async |says: &str| {
        browser.find("nav a[href='#requests']").await.click().await.unwrap();
        browser.fill("요청 ID 또는 사용자 ID", claim["requestId"].as_str().unwrap_or_else(|| panic!("{claim}"))).await;
        browser.find("section:not([hidden]) button[type=submit]").await.click().await.unwrap();
        browser.see(says).await;
        browser.find("nav a[href='#lanes']").await.click().await.unwrap();
    };
    history("줄에서 대기").await;
    browser.find("button[data-act=resume][data-of='coupon:C1']").await.click().await.unwrap();
    browser.see("coupon:C1: 다시 진행합니다").await;
    browser.see("멈춘 레인이 없습니다").await;
    history("티켓 범위").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_opens_nothing() {
    let programs = programs_or_skip!();
    let shop = Shop::open().await;
    let browser = Browser::open(&programs, "en").await;
    browser.go(&format!("{}/admin", shop.base())).await;
    browser.find("input[type=password]").await.send_keys("another token").await.unwrap();
    browser.find("form button[type=submit]").await.click().await.unwrap();
    browser.find(".notice.bad").await;
    assert_eq!(browser.run("return document.querySelectorAll('nav a').length").await, 0);
    browser.close().await;
}
