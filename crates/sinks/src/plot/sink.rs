//! The sink: rows go into what a picture keeps, and at the end the picture into its files.

use std::io::{BufWriter, Write};
use std::sync::Arc;

use dataflow_core::saved::{Restored, Save};
use dataflow_core::sink::{FileReceipt, Receipt, Target as Place};
use dataflow_core::{Batch, Error, Result, Sink, SinkContext, Writer};

use super::PlotKind;
use super::chart::Look;
use super::content::Content;
use super::content::bars::{Bars, Categories, Histogram, Intervals};
use super::content::cells::{self, Cells};
use super::content::lines::{self, Lines};
use super::content::spectra::{self, Spectra};
use super::paint::scene::Scene;
use super::paint::{raster, vector};
use crate::IfExists;
use crate::file::target::Target;

/// What is drawn, checked.
pub enum Drawing {
    Lines(Arc<lines::Plan>),
    Histogram(Arc<Intervals>),
    Bars(Arc<Categories>),
    Spectra(Arc<spectra::Plan>),
    Cells(Arc<cells::Plan>),
}

impl Drawing {
    /// Before any row has come.
    pub fn content(&self) -> Box<dyn Content> {
        match self {
            Self::Lines(plan) => Box::new(Lines::new(plan)),
            Self::Histogram(plan) => Box::new(Histogram::new(plan)),
            Self::Bars(plan) => Box::new(Bars::new(plan)),
            Self::Spectra(plan) => Box::new(Spectra::new(plan)),
            Self::Cells(plan) => Box::new(Cells::new(plan)),
        }
    }
}

/// How a file holds a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Png,
    Svg,
}

impl Form {
    /// By the extension.
    pub fn of_path(path: &str) -> Option<Self> {
        let ends = |extension: &str| {
            let end = path.len().checked_sub(extension.len());
            let end = end.and_then(|start| path.get(start..));
            end.is_some_and(|end| end.eq_ignore_ascii_case(extension))
        };
        match () {
            () if ends(".png") => Some(Self::Png),
            () if ends(".svg") => Some(Self::Svg),
            () => None,
        }
    }

    fn write(self, scene: &Scene, out: &mut impl Write) -> Result<()> {
        match self {
            Self::Png => raster::write(scene, &mut *out)?,
            Self::Svg => {
                let text = vector::text(scene)?;
                let written = out.write_all(text.as_bytes());
                written.map_err(|e| Error::resource(format!("cannot write the picture: {e}")))?;
            }
        }
        let flushed = out.flush();
        flushed.map_err(|e| Error::resource(format!("cannot write the picture: {e}")))
    }
}

/// A checked plot sink.
pub struct PlotSink {
    pub drawing: Drawing,
    pub look: Look,
    pub files: Vec<(String, Form)>,
    pub if_exists: IfExists,
    pub kind: PlotKind,
}

/// The name under which the number of rows is saved.
const ROWS: &str = "rows";

impl PlotSink {
    /// `again`: an earlier run may have given the files their names already.
    fn picture(&self, again: bool) -> Result<Picture> {
        let file = |(path, form): &(String, Form)| {
            let target = Target::create_again(path, self.if_exists, again)?;
            Ok(File {
                path: path.clone(),
                form: *form,
                target: Some(target),
                bytes: 0,
            })
        };
        Ok(Picture {
            content: self.drawing.content(),
            look: self.look.clone(),
            files: self.files.iter().map(file).collect::<Result<_>>()?,
            rows: 0,
            drawn: false,
        })
    }
}

impl Sink for PlotSink {
    fn open(&self, _: &SinkContext) -> Result<Box<dyn Writer>> {
        Ok(Box::new(self.picture(false)?))
    }

    fn resume(&self, context: &SinkContext, from: &Restored<'_>) -> Result<Box<dyn Writer>> {
        let Some(rows) = from.values(ROWS)?.pop() else {
            return self.open(context);
        };
        let rows = rows.as_u64();
        let mut picture = self.picture(true)?;
        picture.rows = rows.ok_or_else(|| Error::data("what was saved of a picture is none"))?;
        picture.content.restore(from)?;
        Ok(Box::new(picture))
    }

    fn targets(&self) -> Vec<Place> {
        let files = self.files.iter();
        files.map(|(path, _)| Place::File(path.clone())).collect()
    }

    fn explain(&self) -> Vec<String> {
        let kind = match self.kind {
            PlotKind::Line => "lines",
            PlotKind::Histogram => "a histogram",
            PlotKind::Heatmap => "a heat map",
            PlotKind::Bars => "bars",
        };
        let (width, height) = (self.look.width, self.look.height);
        let paths: Vec<&str> = self.files.iter().map(|(path, _)| path.as_str()).collect();
        vec![format!(
            "draws {kind} to {} ({width} x {height} pixels)",
            paths.join(" and ")
        )]
    }
}

/// A picture that takes rows.
struct Picture {
    content: Box<dyn Content>,
    look: Look,
    files: Vec<File>,
    rows: u64,
    drawn: bool,
}

struct File {
    path: String,
    form: Form,
    /// None once it has its name.
    target: Option<Target>,
    bytes: u64,
}

impl File {
    fn write(&mut self, scene: &Scene) -> Result<()> {
        let Some(target) = &mut self.target else {
            return Ok(());
        };
        let mut out = BufWriter::new(target.output()?);
        let written = self.form.write(scene, &mut out);
        written.map_err(|e| e.file(&*self.path))?;
        drop(out);
        self.bytes = target.sync()?;
        Ok(())
    }
}

impl Writer for Picture {
    fn write(&mut self, batch: &Batch) -> Result<()> {
        self.rows += batch.len() as u64;
        self.content.take(batch.rows())
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        into.value(ROWS, self.rows.into());
        self.content.save(into)
    }

    fn prepare(&mut self) -> Result<Receipt> {
        if !self.drawn {
            let scene = self.content.draw(&self.look);
            for file in &mut self.files {
                file.write(&scene)?;
            }
            self.drawn = true;
        }
        let targets = self.files.iter().filter_map(|file| file.target.as_ref());
        targets.into_iter().try_for_each(Target::check_absent)?;
        let files = self.files.iter().map(|file| FileReceipt {
            path: file.path.clone(),
            rows: self.rows,
            bytes: file.bytes,
        });
        Ok(Receipt {
            rows: self.rows,
            bytes: self.bytes(),
            files: files.collect(),
        })
    }

    fn commit(&mut self) -> Result<()> {
        let targets = self.files.iter_mut().filter_map(|file| file.target.take());
        targets.into_iter().try_for_each(Target::commit)
    }

    fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}
