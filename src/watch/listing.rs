//! The answer to ListObjectsV2, as far as it is looked at.

/// One page of a bucket.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) objects: Vec<Object>,
    /// For the next page.
    pub(super) next: Option<String>,
}

/// An object, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) key: String,
    pub(super) etag: String,
    pub(super) size: u64,
}

/// Read a page that was asked for with `encoding-type=url`; `None` when it is none. Nothing is looked
/// up, included or expanded: it is text between names.
pub(super) fn parse(xml: &str) -> Option<Listing> {
    let body = between(xml, "<ListBucketResult", "</ListBucketResult>")?;
    let mut listing = Listing::default();
    let mut rest = body;
    while let Some((_, after)) = rest.split_once("<Contents>") {
        let (contents, behind) = after.split_once("</Contents>")?;
        rest = behind;
        listing.objects.push(Object {
            key: decode(&unescape(element(contents, "Key")?))?,
            etag: unescape(element(contents, "ETag").unwrap_or_default()),
            size: element(contents, "Size")?.trim().parse().ok()?,
        });
    }
    if element(body, "IsTruncated").is_some_and(|text| text.trim() == "true") {
        listing.next = Some(unescape(element(body, "NextContinuationToken")?));
    }
    Some(listing)
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    let (_, after) = text.split_once(begin)?;
    after.split_once(end).map(|(inside, _)| inside)
}

fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    between(text, &format!("<{name}>"), &format!("</{name}>"))
}

/// The five references that XML knows by itself; any other stays as it is.
fn unescape(text: &str) -> String {
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#34;", "\""), ("&apos;", "'")]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
        .replace("&amp;", "&")
}

/// What `encoding-type=url` made of a key: form-encoded, where a space is a plus.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read() {
        let xml = "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3/\"><Name>b</Name>\
            <IsTruncated>true</IsTruncated><EncodingType>url</EncodingType>\
            <Contents><Key>docs/a%2Bb+c%C3%BC.txt</Key><ETag>&quot;9b&quot;</ETag>\
            <Size>17</Size><StorageClass>STANDARD</StorageClass></Contents>\
            <Contents><Key>d.md</Key><Size>0</Size></Contents>\
            <NextContinuationToken>1ue&amp;x=</NextContinuationToken></ListBucketResult>";
        let listing = parse(xml).unwrap();
        assert_eq!(listing.next.as_deref(), Some("1ue&x="));
        assert_eq!(listing.objects[0].key, "docs/a+b cü.txt");
        assert_eq!((listing.objects[0].etag.as_str(), listing.objects[0].size), ("\"9b\"", 17));
        assert_eq!(listing.objects[1].key, "d.md");
        let empty = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
        assert_eq!(parse(empty), Some(Listing::default()));
    }

    /// What is cut off or is something else is no empty bucket.
    #[test]
    fn what_is_no_listing_is_none() {
        for xml in [
            "",
            "<Error><Code>AccessDenied</Code></Error>",
            "<ListBucketResult><Contents><Key>a</Key><Size>1</Size></Contents>",
            "<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>",
            "<ListBucketResult><Contents><Key>%zz</Key><Size>1</Size></Contents></ListBucketResult>",
            "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        ] {
            assert_eq!(parse(xml), None, "{xml}");
        }
    }
}
