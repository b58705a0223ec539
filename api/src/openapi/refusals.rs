//! The errors that an endpoint can answer with: the handler names groups and codes, the table of errors says the rest.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use serde_json::{Map, Value, json};
use utoipa::IntoResponses;
use utoipa::openapi::{Ref, RefOr, Response};

use crate::error_table::Code;
use crate::problem::reason;

/// Errors, each with the status that it is answered with.
pub trait Refusals {
    /// Adds them.
    fn add_to(refusals: &mut Vec<(u16, Code)>);
}

/// The refusals of an endpoint: a tuple of groups and codes. Everybody can be refused at the door, and hit a fault of
/// ours.
#[derive(Debug)]
pub struct Refused<T>(PhantomData<T>);

macro_rules! groups {
    ($($(#[$doc:meta])* $name:ident: $($status:literal $code:ident),*;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub struct $name;

            impl Refusals for $name {
                fn add_to(refusals: &mut Vec<(u16, Code)>) {
                    refusals.extend([$(($status, Code::$code)),*]);
                }
            }
        )*
    };
}

groups! {
    /// Of whatever endpoint: with `AUTH_MODE=off` only this machine may call, and a panic is an answer.
    Everybody: 403 A002, 500 X003;
    /// Of endpoints with a path or a query that can be wrong.
    WithInput: 400 V001;
    /// Of endpoints with a body.
    WithBody: 400 V001, 413 V001, 415 V001;
    /// Of endpoints that ask Postgres.
    FromPostgres: 503 R005;
    /// Of endpoints that ask a service of somebody else.
    FromOutside: 503 R005;
    /// Of what belongs to a shopper, in Postgres or in a line.
    OfShopper: 400 V001, 401 A001, 403 A002, 503 R005;
    /// Of the operators' endpoints.
    OfOperator: 401 A001, 403 A002, 503 R005;
    /// Of commands. R001: what the key was first used for is no longer known.
    InTheLine: 404 R001, 422 R002, 429 R003, 503 R004, 503 R005;
}

/// One type for each code, to name it where a handler lists its refusals.
pub mod codes {
    use super::Refusals;
    use crate::error_table::Code;

    macro_rules! codes {
        ($($code:ident)*) => {
            $(
                #[doc = concat!("The error ", stringify!($code), ", with the status of the table.")]
                #[derive(Debug)]
                pub struct $code;

                impl Refusals for $code {
                    fn add_to(refusals: &mut Vec<(u16, Code)>) {
                        refusals.push((Code::$code.row().status, Code::$code));
                    }
                }
            )*
        };
    }

    codes! { R001 P001 P002 CART001 O001 O002 PAY001 PAY002 C001 C002 C003 C004 C005 C006 X001 X004 }
}

macro_rules! tuples {
    ($($($name:ident)*;)*) => {
        $(
            impl<$($name: Refusals),*> Refusals for ($($name,)*) {
                fn add_to(_refusals: &mut Vec<(u16, Code)>) {
                    $($name::add_to(_refusals);)*
                }
            }
        )*
    };
}

tuples! {
    ;
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
    A B C D E F G H;
    A B C D E F G H I;
    A B C D E F G H I J;
}

impl<T: Refusals> IntoResponses for Refused<T> {
    /// Answers with the same codes are one component, named after them; [`component`] writes it.
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut refusals = Vec::new();
        Everybody::add_to(&mut refusals);
        T::add_to(&mut refusals);
        refusals.sort_by_key(|(status, code)| (*status, *code as usize));
        refusals.dedup();
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        for (status, code) in refusals {
            let name = names.entry(status.to_string()).or_insert_with(|| status.to_string());
            name.push('.');
            name.push_str(code.row().code);
        }
        let reference = |name: String| RefOr::Ref(Ref::new(format!("{COMPONENTS}{name}")));
        names.into_iter().map(|(status, name)| (status, reference(name))).collect()
    }
}

/// Where answers that several endpoints give stand in the document.
pub const COMPONENTS: &str = "#/components/responses/";

/// The answer of this name: `400.V001.P002`.
///
/// # Panics
/// When it is no name that [`Refused`] gave.
pub fn component(name: &str) -> Value {
    let (status, codes) = name.split_once('.').expect("a status, then codes");
    let status: u16 = status.parse().expect("a status is a number");
    let codes: Vec<Code> = codes.split('.').map(|code| Code::find(code).expect("a code of the table")).collect();
    let told =
        codes.iter().map(|code| code.row()).map(|row| format!("- `{}` {}: {}", row.code, row.error, row.english));
    let reference = |code: &Code| json!({"$ref": format!("#/components/schemas/{}", code.row().code)});
    let schema = match codes.as_slice() {
        [code] => reference(code),
        codes => json!({"anyOf": codes.iter().map(reference).collect::<Vec<_>>()}),
    };
    let mut headers = Map::from_iter([
        ("x-request-id".to_owned(), json!({"$ref": "#/components/headers/XRequestId"})),
        ("content-language".to_owned(), json!({"$ref": "#/components/headers/ContentLanguage"})),
    ]);
    if codes.iter().any(|code| matches!(code, Code::R003 | Code::R004 | Code::R005)) {
        headers.insert("retry-after".to_owned(), json!({"$ref": "#/components/headers/RetryAfter"}));
    }
    let mut examples = Map::new();
    for &code in &codes {
        let row = code.row();
        let mut example = |name: String, message: &str, language: &str| {
            let value = problem(status, code, message);
            examples.insert(name, json!({"summary": format!("{} in {language}", row.title), "value": value}));
        };
        example(row.code.to_owned(), row.korean, "Korean");
        example(format!("{}.en", row.code), row.english, "English");
    }
    json!({
        "description": told.collect::<Vec<_>>().join("\n"),
        "headers": headers,
        "content": {"application/problem+json": {"schema": schema, "examples": examples}},
    })
}

fn problem(status: u16, code: Code, message: &str) -> Value {
    let row = code.row();
    let mut problem = json!({
        "type": format!("urn:droplane:problem:{}", row.code), "title": row.title, "status": status,
        "detail": message, "code": row.code, "error": row.error, "message": message,
    });
    for (name, member) in members(code).into_iter().filter(|(name, _)| !is_only_of_claims(code, name)) {
        problem[name] = member["examples"][0].clone();
    }
    problem
}

/// What every problem has, and what those of each code have besides.
pub fn schemas() -> impl Iterator<Item = (String, Value)> {
    let text = |description: &str| json!({"type": "string", "description": description});
    let common = json!({
        "type": "object",
        "description": "What went wrong (RFC 9457), with a code to tell errors apart by.",
        "properties": {
            "type": text("A URI of the code."),
            "title": text("The same for every occurrence."),
            "status": {"type": "integer", "description": "The HTTP status."},
            "detail": text("The same as `message`."),
            "code": text("What programs tell errors apart by."),
            "error": text("The same as a word."),
            "message": text("What a shopper is told, in the language of the answer."),
        },
        "required": ["type", "title", "status", "detail", "code", "error", "message"],
    });
    let of_codes = Code::ALL.iter().map(|code| (code.row().code.to_owned(), schema(*code)));
    std::iter::once(("Problem".to_owned(), common)).chain(of_codes)
}

fn schema(code: Code) -> Value {
    let row = code.row();
    let status = match code {
        Code::V001 => json!({"enum": [400, 413, 415]}),
        _ => json!({"const": row.status}),
    };
    let mut properties = Map::from_iter([
        ("code".to_owned(), json!({"const": row.code})),
        ("error".to_owned(), json!({"const": row.error})),
        ("status".to_owned(), status),
    ]);
    let mut required = Vec::new();
    for (name, member) in members(code) {
        if name != MAYBE && !is_only_of_claims(code, name) {
            required.push(name);
        }
        properties.insert(name.to_owned(), member);
    }
    let own = json!({"type": "object", "properties": properties, "required": required});
    json!({"title": row.title, "allOf": [{"$ref": "#/components/schemas/Problem"}, own]})
}

/// A member that may be absent.
const MAYBE: &str = "requestId";

/// Whether a member is there only where a coupon demands something of its claims.
fn is_only_of_claims(code: Code, name: &str) -> bool {
    matches!(code, Code::A002 | Code::R003) && name == "reason"
}

/// The members that belong to a code, each with an example.
fn members(code: Code) -> Vec<(&'static str, Value)> {
    let scalar = |kind: &str, description: &str, example: Value| json!({"type": kind, "description": description, "examples": [example]});
    let won = |description: &str, example: i64| scalar("integer", description, json!(example));
    let text = |description: &str, example: &str| scalar("string", description, json!(example));
    match code {
        Code::V001 => vec![(
            "errors",
            json!({
                "type": "array",
                "description": "All that is wrong.",
                "items": {"$ref": "#/components/schemas/FieldError"},
                "examples": [[{"field": "items[0].quantity", "message": "must be between 1 and 100000"}]],
            }),
        )],
        Code::P001 | Code::CART001 => vec![("productId", text("Which product.", "P001"))],
        Code::P002 => vec![(
            "insufficientItems",
            json!({
                "type": "array",
                "description": "Every short product.",
                "items": {"$ref": "#/components/schemas/InsufficientItem"},
                "examples": [[
                    {"productId": "P001", "productName": "노트북", "requestedQuantity": 5, "availableStock": 2}
                ]],
            }),
        )],
        Code::O002 => vec![
            ("expectedAmount", won("What was computed, in won.", 90_000)),
            ("actualAmount", won("What was sent, in won.", 80_000)),
        ],
        Code::PAY001 => vec![
            ("requiredAmount", won("What the order costs, in won.", 90_000)),
            ("currentBalance", won("What there is, in won.", 50_000)),
            ("shortfall", won("What is missing, in won.", 40_000)),
        ],
        Code::PAY002 => vec![("reason", text("Why, in the gateway's word.", "card_declined"))],
        Code::C005 => vec![(
            "reason",
            json!({
                "enum": ["NOT_OWNED", "ALREADY_USED", "BELOW_MIN_ORDER_AMOUNT"],
                "description": "Why not.",
                "examples": ["BELOW_MIN_ORDER_AMOUNT"],
            }),
        )],
        Code::A002 => vec![(
            "reason",
            json!({
                "enum": [reason::HUMAN_TOKEN_MISSING, reason::HUMAN_TOKEN_REFUSED],
                "description": "Only of claims: what is wrong with the `Human-Token` that the coupon demands.",
                "examples": [reason::HUMAN_TOKEN_REFUSED],
            }),
        )],
        Code::R003 => vec![(
            "reason",
            json!({
                "enum": [reason::ADDRESS_USED_UP],
                "description": "Only of claims: as many as may go to one address have gone to this one, so that trying again is vain.",
                "examples": [reason::ADDRESS_USED_UP],
            }),
        )],
        Code::R001 | Code::R005 | Code::X003 => vec![(
            MAYBE,
            json!({
                "type": "string",
                "format": "uuid",
                "description": "The request that may have been accepted; only of commands, and not always there.",
                "examples": ["019a3c5e-7f00-7abc-8def-012345678980"],
            }),
        )],
        _ => Vec::new(),
    }
}
