-- A worker tells when it takes nothing for a while, because attempts fail there before their code runs.
alter table worker add column paused_until timestamptz, add column pause_reason text;
