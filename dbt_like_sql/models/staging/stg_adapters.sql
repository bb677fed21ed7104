-- One row per adapter version of the registry.
select
    adapter_id, layer, persona_id, week, base_model, dataset_id, status, created_at,
    cast(json_extract(metrics, '$.eval_loss') as double) as eval_loss,
    cast(json_extract(metrics, '$.eval_loss_base') as double) as eval_loss_base,
    cast(json_extract(metrics, '$.train_loss_last') as double) as train_loss
from lake.adapters
