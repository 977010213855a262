//! The embedding model, unpacked from the sources.

use std::{path::Path, process::Command, sync::OnceLock};

/// The folder that it is in, for `CALLSLIP_MODEL_DIR`.
pub fn model_folder() -> &'static str {
    static FOLDER: OnceLock<String> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("model");
        if !folder.join("tokenizer.json").exists() {
            let unpacked = Command::new("bash")
                .args(["-euc", ". \"$REPOSITORY/scripts/lib.sh\"; unpack_model \"$1\"", "-"])
                .arg(&folder)
                .env("REPOSITORY", env!("CARGO_MANIFEST_DIR"))
                .status();
            assert!(unpacked.unwrap().success());
        }
        folder.to_str().unwrap().to_owned()
    })
}
