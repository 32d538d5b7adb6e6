-- Where the texts of a chunk's lines are, if they stay in the customer's store. Null: they are in the lines.
alter table log_chunk add column stored json;
