//! Numbers, durations and codes as people read them.

use std::time::Duration;

/// `12,345`.
pub fn count(number: u64) -> String {
    grouped(&number.to_string())
}

/// A number that is not negative, rounded: `12,345`.
pub fn rounded(number: f64) -> String {
    grouped(&format!("{number:.0}"))
}

fn grouped(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `12,345/s`, with a decimal where it matters.
pub fn rate(per_second: f64) -> String {
    const WHOLE_FROM: f64 = 100.0;
    if per_second < WHOLE_FROM { format!("{per_second:.1}/s") } else { format!("{}/s", rounded(per_second)) }
}

/// `850 µs`, `3.2 ms`, `1.25 s`; a dash for none.
pub fn duration(duration: Option<Duration>) -> String {
    let Some(duration) = duration else {
        return "–".to_owned();
    };
    match duration.as_micros() {
        us @ 0..1_000 => format!("{us} µs"),
        us @ 1_000..10_000 => format!("{:.1} ms", us as f64 / 1e3),
        us @ 10_000..1_000_000 => format!("{} ms", us / 1_000),
        us => format!("{:.2} s", us as f64 / 1e6),
    }
}

/// A code with what it means.
pub fn meaning(code: &str) -> &'static str {
    match code {
        "SUCCEEDED" => "done",
        "C001" => "coupon sold out",
        "C002" => "no such coupon",
        "C003" => "coupon expired",
        "C004" => "already issued",
        "C005" => "coupon not applicable",
        "C006" => "coupon not started",
        "O002" => "the amount differs",
        "P001" => "no such product",
        "P002" => "not enough in stock",
        "PAY001" => "balance too low",
        "R002" => "idempotency key reused",
        "R003" => "too many requests",
        "R004" => "the line is full",
        "R005" => "not available for the moment",
        "X003" => "could not be decided",
        _ => "another refusal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        let rows = [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")];
        for (number, meant) in rows {
            assert_eq!(count(number), meant);
        }
        let rows = [(0.0, "0.0/s"), (99.94, "99.9/s"), (12_345.6, "12,346/s")];
        for (number, meant) in rows {
            assert_eq!(rate(number), meant);
        }
        let rows = [(850, "850 µs"), (3_249, "3.2 ms"), (45_900, "45 ms"), (1_254_000, "1.25 s")];
        for (us, meant) in rows {
            assert_eq!(duration(Some(Duration::from_micros(us))), meant);
        }
        assert_eq!(duration(None), "–");
    }
}
