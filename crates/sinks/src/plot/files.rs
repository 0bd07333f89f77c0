//! Where a picture goes and how large it is, checked.

use std::path::Path;

use dataflow_core::transform::Input;
use dataflow_core::{Check, Located};

use super::chart::Look;
use super::sink::Form;
use super::{Names, Plot};
use crate::IfExists;

impl Plot {
    /// The size and the colours.
    pub(super) fn look(&self, check: &mut Check<'_>) -> Option<Look> {
        let mut fits = true;
        for size in [&self.width, &self.height] {
            if !(200..=4000).contains(&size.value) {
                let message = format!("a picture of {} pixels", size.value);
                check.error_at(size, message, Some("write 200 to 4000".into()));
                fits = false;
            }
        }
        fits.then(|| Look {
            title: self.title.clone(),
            theme: self.theme,
            width: self.width.value,
            height: self.height.value,
        })
    }

    /// Where it goes.
    pub(super) fn files(
        &self,
        input: &Input,
        check: &mut Check<'_>,
    ) -> Option<Vec<(String, Form)>> {
        if input.provisional {
            let message = format!(
                "`{}` has early results, which a picture would show beside those that correct them",
                input.from.join("`, `")
            );
            let help = "read the main output".to_string();
            check.error_at(&self.path, message, Some(help));
            return None;
        }
        if self.if_exists.value == IfExists::Append {
            let message = "nothing can be added to a picture";
            let help = "write `replace` or `fail`".to_string();
            check.error_at(&self.if_exists, message, Some(help));
            return None;
        }
        let paths = Names::list(&self.path);
        if paths.is_empty() {
            check.error_at(&self.path, "there is no path", None);
            return None;
        }
        let files = paths.iter().enumerate().map(|(i, path)| {
            if paths[..i].iter().any(|before| before.value == path.value) {
                check.error_at(path, "this path is there twice", None);
                return None;
            }
            file(path, check)
        });
        let files: Vec<Option<(String, Form)>> = files.collect();
        files.into_iter().collect()
    }
}

fn file(path: &Located<String>, check: &mut Check<'_>) -> Option<(String, Form)> {
    let Some(form) = Form::of_path(path) else {
        let message = format!("what to make is not clear from the name `{}`", path.value);
        let help = "write a name that ends in .png or .svg".to_string();
        check.error_at(path, message, Some(help));
        return None;
    };
    if !check.offline && Path::new(&path.value).is_dir() {
        let help = "write the name of a file in it".to_string();
        check.error_at(path, format!("`{}` is a folder", path.value), Some(help));
        return None;
    }
    Some((path.value.clone(), form))
}
