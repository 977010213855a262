//! ZIP: every member becomes a document of its own, or a reason of its own.

use std::io::{Read, Write};

use zip::CompressionMethod;

use super::{
    MediaType, Unreadable,
    media::UNSUPPORTED,
    members::{Frames, MOST_MEMBER},
    package::{self, MOST_ENTRIES, Office, Zip, fits},
    unreadable,
};

/// Hand over the members one by one.
///
/// # Errors
/// When the archive as a whole, or what is left of it, is not read.
pub(super) fn members(bytes: &[u8], frames: &mut Frames<impl Write>) -> Result<(), Unreadable> {
    let mut zip = package::open(bytes)?;
    if let Some(office) = package::office(&zip) {
        return Err(unreadable(match office {
            Office::Document => "this is a Word document: name it .docx",
            Office::Presentation => "this is a PowerPoint presentation: name it .pptx",
            Office::Workbook => "this is an Excel workbook: name it .xlsx",
        }));
    }
    if zip.is_empty() {
        return Err(unreadable("the archive is empty"));
    }
    if zip.len() > MOST_ENTRIES {
        return Err(unreadable("the archive has more than 1,000 members: split it"));
    }
    let mut total = 0;
    let mut member = Vec::new();
    for index in 0..zip.len() {
        let Some(name) = name(&mut zip, index)? else { continue };
        let content = unpack(&mut zip, index, &name, &mut member, &mut total);
        if total > package::MOST_TOTAL {
            return Err(unreadable(format!(
                "the archive unpacks to more than 100 MiB: {name} and what comes after it was \
                 not read"
            )));
        }
        frames.member(&name, content.map(|()| member.as_slice()));
        if frames.is_broken() {
            break;
        }
    }
    Ok(())
}

/// The name of a member that is a file; `None` for folders, and for what a computer put there for
/// itself.
fn name(zip: &mut Zip<'_>, index: usize) -> Result<Option<String>, Unreadable> {
    let damaged = |_| unreadable("the archive is damaged: its list of members cannot be read");
    let member = zip.by_index_raw(index).map_err(damaged)?;
    let name = member.name().map_err(damaged)?.into_owned();
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let is_litter = name.starts_with("__MACOSX/")
        || last.starts_with('.')
        || last.starts_with("~$")
        || last.eq_ignore_ascii_case("thumbs.db")
        || last.eq_ignore_ascii_case("desktop.ini");
    Ok((!member.is_dir() && !last.is_empty() && !is_litter).then_some(name))
}

/// Whether a name would be a place outside, for whoever takes it for a path. Nobody here does.
fn leads_out(name: &str) -> bool {
    name.starts_with(['/', '\\'])
        || name.contains('\0')
        || name.as_bytes().get(1) == Some(&b':')
        || name.split(['/', '\\']).any(|part| part == "..")
}

/// Unpack a member of a kind that we read into `content`, and count it.
fn unpack(
    zip: &mut Zip<'_>,
    index: usize,
    name: &str,
    content: &mut Vec<u8>,
    total: &mut u64,
) -> Result<(), Unreadable> {
    content.clear();
    let broken = || unreadable("it is damaged: it cannot be unpacked");
    let member = zip.by_index_raw(index).map_err(|_| broken())?;
    if member.is_symlink() {
        return Err(unreadable("it is a link: links are not followed"));
    }
    if leads_out(name) {
        return Err(unreadable("its name leads out of the archive"));
    }
    match MediaType::of_name(name) {
        Some(MediaType::Zip) => {
            return Err(unreadable("an archive inside an archive is not read: unpack it first"));
        }
        Some(_) => {}
        None => return Err(unreadable(UNSUPPORTED)),
    }
    if member.encrypted() {
        return Err(unreadable("it is protected with a password"));
    }
    let (packed, method) = (member.compressed_size(), member.compression());
    fits(packed, member.size(), *total)?;
    drop(member);
    if !matches!(method, CompressionMethod::Stored | CompressionMethod::Deflated) {
        return Err(unreadable("it is packed in a way that is not supported: use ordinary zip"));
    }
    let member = zip.by_index(index).map_err(|_| broken())?;
    let mut piece = [0; 64 * 1024];
    let mut member = member.take(MOST_MEMBER + 1);
    loop {
        let read = member.read(&mut piece).map_err(|_| broken())?;
        if read == 0 {
            break;
        }
        *total += read as u64;
        content.extend_from_slice(&piece[..read]);
        fits(packed, content.len() as u64, *total)?;
    }
    if content.len() as u64 > MOST_MEMBER {
        return Err(unreadable("it is larger than 25 MiB: bring it in by itself"));
    }
    Ok(())
}
