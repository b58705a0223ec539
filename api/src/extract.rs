//! What a request carries, checked for its shape; what is wrong with it is named by member.

use std::convert::Infallible;
use std::error::Error;
use std::fmt::{self, Display};
use std::future::Future;
use std::marker::PhantomData;
use std::pin::pin;
use std::str::FromStr;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use common::RequestId;
use common::limits::BODY_MAX_BYTES;
use http_body_util::{BodyExt, Limited};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::error_table::Code;
use crate::limits::{BODY_READ_SECONDS, COMPLAINT_MAX_CHARS};
use crate::problem::Problem;

/// A JSON body. No body at all counts as an object without members.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = in_time(Limited::new(body, BODY_MAX_BYTES).collect()).await??.to_bytes();
        if bytes.is_empty() && !parts.headers.contains_key(CONTENT_TYPE) {
            return parse(&Bytes::from_static(b"{}")).map(JsonBody);
        }
        if !is_json(&parts.headers) {
            return Err(
                Problem::field("Content-Type", "must be application/json").status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
            );
        }
        parse(&bytes).map(JsonBody)
    }
}

/// Reads a body that nobody wants to know, within the same bounds: the next request comes over the same connection, which would
/// have to be closed otherwise.
pub async fn skip(body: Body) {
    let mut body = Limited::new(body, BODY_MAX_BYTES);
    let read = in_time(async {
        while let Some(frame) = body.frame().await.transpose()? {
            drop(frame);
        }
        Ok::<_, Box<dyn Error + Send + Sync>>(())
    });
    // What is left, or never comes, ends the connection after the answer.
    let _ = read.await;
}

/// Waits for the body with a limit. Nearly every body is already there, and then no timer is started.
async fn in_time<T, E>(reading: impl Future<Output = Result<T, E>>) -> Result<Result<T, Problem>, Problem>
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let mut reading = pin!(reading);
    let read = match futures::poll!(&mut reading) {
        Poll::Ready(read) => read,
        Poll::Pending => tokio::time::timeout(Duration::from_secs(BODY_READ_SECONDS), reading)
            .await
            .map_err(|_| Problem::field("body", format!("did not arrive within {BODY_READ_SECONDS} s")))?,
    };
    Ok(read.map_err(|error| {
        let error = error.into();
        if error.is::<http_body_util::LengthLimitError>() {
            Problem::field("body", format!("must not be larger than {BODY_MAX_BYTES} bytes"))
                .status(StatusCode::PAYLOAD_TOO_LARGE)
        } else {
            Problem::field("body", "could not be read to its end")
        }
    }))
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || (essence.len() > "application/+json".len()
            && essence.get(..12).is_some_and(|start| start.eq_ignore_ascii_case("application/"))
            && essence.get(essence.len() - 5..).is_some_and(|end| end.eq_ignore_ascii_case("+json")))
}

/// Something with named members. Without this a list of values in the order of the members would do as well, and mean
/// something else as soon as they are ordered anew.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members))
            }
        }

        deserializer.deserialize_map(Members(PhantomData)).map(Object)
    }
}

/// Parses quickly, and only what cannot be parsed once more to learn where it is wrong.
///
/// # Errors
/// V001, which names the member.
pub fn parse<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Problem> {
    match serde_json::from_slice::<Object<T>>(bytes) {
        Ok(Object(value)) => Ok(value),
        Err(error) => {
            let mut json = serde_json::Deserializer::from_slice(bytes);
            let path = match serde_path_to_error::deserialize::<_, Object<T>>(&mut json) {
                Ok(_) => String::new(),
                Err(error) => error.path().to_string(),
            };
            Err(wrong_json(&path, &error))
        }
    }
}

/// What the parser says of our types, and what a client understands.
const WORDS_OF_CODE: [(&str, &str); 4] =
    [("i64", "a whole number"), ("i32", "a whole number"), ("u64", "a whole number"), ("a sequence", "a list")];

fn wrong_json(path: &str, error: &serde_json::Error) -> Problem {
    let message = error.to_string();
    // Where in the text it stands helps only when the text is not JSON at all.
    let message = match message.rfind(" at line ") {
        Some(end) if error.is_data() => &message[..end],
        _ => &message,
    };
    // The parser repeats what it was given, which may be all of a body.
    let message: String = if message.chars().nth(COMPLAINT_MAX_CHARS).is_some() {
        message.chars().take(COMPLAINT_MAX_CHARS).chain(['…']).collect()
    } else {
        message.to_owned()
    };
    let message = WORDS_OF_CODE.iter().fold(message, |message, (code, word)| message.replace(code, word));
    let path = if path == "." || path == "?" { "" } else { path };
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    let field = match (path, missing) {
        ("", None) => "body".to_owned(),
        ("", Some(missing)) => missing.to_owned(),
        (path, None) => path.to_owned(),
        (path, Some(missing)) => format!("{path}.{missing}"),
    };
    Problem::field(field, if missing.is_some() { "must be given" } else { &message })
}

/// The id in the path, under the name that the route gives it.
#[derive(Debug)]
pub struct PathId<T>(pub T);

impl<S: Send + Sync, T: FromStr<Err: Display>> FromRequestParts<S> for PathId<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::field("path", "must be UTF-8"))?;
        let (name, text) = params.iter().next().ok_or_else(|| Problem::new(Code::X001))?;
        text.parse().map(PathId).map_err(|error| Problem::field(name, error))
    }
}

/// The id of something that the server named, from the path. What it never named is not malformed, but simply not known.
#[derive(Debug)]
pub struct Named(pub Option<RequestId>);

impl FromStr for Named {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Named(RequestId::parse(text)))
    }
}

/// The query, as texts that the handler reads.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let Query(params) = Query::try_from_uri(&parts.uri)
            .map_err(|_| Problem::field("query", "must be UTF-8 and name each parameter once"))?;
        Ok(Params(params))
    }
}

/// A member that may be absent (`None`), null (`Some(None)`) or given: for changes that can take something away.
pub fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Deserialize::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use common::{OrderItem, UserId};

    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Order {
        user_id: Option<UserId>,
        items: Vec<Object<OrderItem>>,
    }

    #[test]
    fn what_is_wrong_is_named_by_member() {
        let rows = [
            (r#"{"items":[]"#, "body"),
            ("", "body"),
            ("null", "body"),
            ("[]", "body"),
            (r#"["u1",[]]"#, "body"),
            (r#"{"items":[["P1",1]]}"#, "items[0]"),
            (r#"{"items":[]} x"#, "body"),
            ("{}", "items"),
            (r#"{"userId":7,"items":[]}"#, "userId"),
            (r#"{"userId":"two words","items":[]}"#, "userId"),
            (r#"{"items":{}}"#, "items"),
            (r#"{"items":[{"productId":"P1"}]}"#, "items[0].quantity"),
            (r#"{"items":[{"productId":"P1","quantity":1},{"productId":"P2","quantity":1.5}]}"#, "items[1].quantity"),
            (r#"{"items":[{"productId":"P1","quantity":"1"}]}"#, "items[0].quantity"),
            (r#"{"items":[{"productId":"","quantity":1}]}"#, "items[0].productId"),
        ];
        for (body, field) in rows {
            let problem = parse::<Order>(&Bytes::from_static(body.as_bytes())).expect_err(body);
            let shown = format!("{problem:?}");
            assert!(shown.contains(&format!("\"field\": String({field:?})")), "{body}: {shown}");
        }
        let unknown_member = Bytes::from_static(br#"{"items":[],"color":{"deep":[1]}}"#);
        assert!(parse::<Order>(&unknown_member).is_ok());
    }

    #[test]
    fn content_types() {
        let rows = [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/merge-patch+json", true),
            ("text/plain", false),
            ("application/x-www-form-urlencoded", false),
            ("application/jsonp", false),
            ("application/+json", false),
            ("+json", false),
        ];
        for (content_type, meant) in rows {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
            assert_eq!(is_json(&headers), meant, "{content_type}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
