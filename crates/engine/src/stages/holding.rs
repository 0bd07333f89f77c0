//! What an operator holds between two epochs: handed in for a snapshot, and taken over from one.

use super::*;

/// What the operator holds besides its stage.
#[derive(Default, Serialize, Deserialize)]
struct Own {
    numbered: u64,
    done: bool,
    bad_rows: Vec<HeldRow>,
}

impl StageOperator {
    /// Goes on where operators of an earlier run were, on all of its workers; they may all have ended.
    ///
    /// # Errors
    /// When what they held cannot be read.
    pub fn resume(
        &mut self,
        own: &[&serde_json::Value],
        (over, alone): (bool, bool),
    ) -> Result<()> {
        self.number_behind(own)?;
        for own in own {
            let own = self.read_own(own)?;
            // They leave sorted, whoever has kept them; one worker takes those of all.
            if alone || self.start.worker == 0 {
                self.outlet.hold(own.bad_rows);
            }
            if own.done && self.stage.is_some() {
                self.setup.demand.done(self.setup.node, 0);
                self.phase = Phase::Done;
            }
        }
        if over && !self.setup.writes {
            self.stage = None;
        }
        Ok(())
    }

    /// Rows that are numbered from here on stand behind those that any worker has numbered.
    ///
    /// # Errors
    /// When what they held cannot be read.
    pub fn number_behind(&mut self, own: &[&serde_json::Value]) -> Result<()> {
        for own in own {
            self.numbered = self.numbered.max(self.read_own(own)?.numbered);
        }
        Ok(())
    }

    fn read_own(&self, own: &serde_json::Value) -> Result<Own> {
        Own::deserialize(own).map_err(|e| {
            let what = format!("what an operator held in the snapshot cannot be read: {e}");
            Error::data(what).component(&*self.setup.id)
        })
    }

    /// Lets the stage go on with what those of an earlier run held. Where it is `alone`, so were they.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn restore(&mut self, parts: &dyn Parts, alone: bool) -> Result<()> {
        let share = self.share(alone);
        let Some(stage) = &mut self.stage else {
            return Ok(());
        };
        let (spill, id) = (Arc::clone(&self.setup.spill), Arc::clone(&self.setup.id));
        stage.restore(&Restored::new(parts, share, spill, id))
    }

    /// What was restored is of another pipeline.
    ///
    /// # Errors
    /// When rows of it cannot be worked on.
    pub fn take_over(&mut self) -> Result<()> {
        match &mut self.stage {
            Some(stage) => stage.take_over(),
            None => Ok(()),
        }
    }

    /// Which of how many workers with such a stage this one is.
    pub fn share(&self, alone: bool) -> (usize, usize) {
        match alone {
            true => (0, 1),
            false => (self.start.worker, self.start.workers),
        }
    }

    /// Hands in what is held, if all of the epoch has been worked on, and goes on with the next one. Returns whether it did.
    pub(super) fn hand_in(&mut self, activation: &Activation<'_>) -> Result<bool> {
        let Some((snapshots, operator)) = self.setup.snapshots.clone() else {
            return Ok(false);
        };
        let over = matches!(self.phase, Phase::Over);
        self.forget(activation);
        let done = |(input, inlet): (usize, &Inlet)| {
            inlet.is_done_before(self.limit, |t| activation.may_come(input, t))
        };
        let waits = matches!(self.phase, Phase::Writing { .. }) || self.held.is_some();
        if !over && (waits || !self.inlets.iter().enumerate().all(done)) {
            return Ok(false);
        }
        let who = (operator, self.start.worker);
        let held = self.holds(over)?;
        snapshots.hand_in(who, self.epoch, held)?;
        self.epoch += 1;
        self.limit = if over {
            u64::MAX
        } else {
            first_of(self.epoch + 1)
        };
        Ok(!over)
    }

    /// What is held between two epochs.
    pub(super) fn holds(&mut self, over: bool) -> Result<Held> {
        let stage = match &mut self.stage {
            Some(stage) => {
                let mut saved = Saved::default();
                stage.save(&mut saved)?;
                Some(saved)
            }
            None => self.last_held.take(),
        };
        let keys = self.stage.as_ref().map_or(0, |stage| stage.keys() as u64);
        let own = Own {
            numbered: self.numbered,
            done: matches!(self.phase, Phase::Done),
            bad_rows: self.outlet.held(),
        };
        let own = serde_json::to_value(own);
        let own = own.map_err(|e| Error::internal(format!("cannot be written: {e}")))?;
        Ok(Held {
            stage,
            waiting: self.waiting()?,
            keys,
            own,
            over,
        })
    }

    pub(super) fn waiting(&mut self) -> Result<Vec<(usize, Saved)>> {
        let each = self.spools().map(|(input, spool)| {
            let mut saved = Saved::default();
            spool.save(&mut saved)?;
            Ok((input, saved))
        });
        each.collect()
    }

    /// The inputs whose rows wait for another one to end.
    pub fn spools(&mut self) -> impl Iterator<Item = (usize, &mut Spool)> {
        let spools = self.spools.iter_mut().enumerate();
        spools.filter_map(|(input, spool)| Some((input, spool.as_mut()?)))
    }
}
