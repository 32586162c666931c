-- Instances that came before others, and have their rows after the study had counted as whole: a process was killed.
alter table study_state add column late_uids text[] not null default '{}';
