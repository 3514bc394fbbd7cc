-- What the budgets of accounts count beside the cost: what requests of unknown cost are presumed to cost.
ALTER TABLE usage ADD COLUMN presumed INTEGER NOT NULL DEFAULT 0;
