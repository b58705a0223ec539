//! The pages: the storefront and the operators' console, as files that a browser runs as they are. Nothing is built
//! or fetched for them, and they load nothing from elsewhere.
//!
//! A release has them inside the program; a debug build reads them from their folder, so a change is there at the next
//! reload.

use std::borrow::Cow;

use rust_embed::RustEmbed;

/// The storefront's page.
pub const SHOP: &str = "shop/index.html";

/// The console's page.
pub const ADMIN: &str = "admin/index.html";

/// What a browser may load and run for these pages: only what the same server sends, and no script or style that
/// stands in the page, so that nothing that a shopper wrote can become a script.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                                           connect-src 'self'; base-uri 'none'; form-action 'none'; \
                                           frame-ancestors 'none'";

#[derive(RustEmbed)]
#[folder = "static"]
struct Files;

/// One file as it is sent.
#[derive(Debug, Clone)]
pub struct File {
    /// Its content.
    pub bytes: Cow<'static, [u8]>,
    /// Its media type, with the character set of texts.
    pub content_type: &'static str,
    /// A validator that changes with the content (RFC 9110, 8.8.3), quotes included.
    pub etag: String,
}

/// The file of this name below the pages' folder; none if there is none.
pub fn file(name: &str) -> Option<File> {
    // Where files are read from their folder, a name could lead out of it.
    if name.split('/').any(|part| part == "..") {
        return None;
    }
    let content_type = content_type(name)?;
    let found = Files::get(name)?;
    let digest = found.metadata.sha256_hash();
    let etag = digest.iter().take(16).fold("\"".to_owned(), |text, byte| format!("{text}{byte:02x}")) + "\"";
    Some(File { bytes: found.data, content_type, etag })
}

/// The names of all files.
pub fn names() -> impl Iterator<Item = Cow<'static, str>> {
    Files::iter()
}

/// By the end of its name; files of other kinds are not for a browser.
fn content_type(name: &str) -> Option<&'static str> {
    let (_, ending) = name.rsplit_once('.')?;
    let known = match ending {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => return None,
    };
    Some(known)
}
