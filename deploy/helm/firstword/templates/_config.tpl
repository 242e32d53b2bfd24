{{/*
The file FIRSTWORD_CONFIG: the settings of docs/settings.md. Takes {root, pool, forChecksum}. With forChecksum it leaves out adapters with
a path, because they change without a restart, and adds max_adapters, because the engine is created with that number.
*/}}
{{- define "firstword.config" -}}
{{- $pool := .pool -}}
{{- $adapters := list -}}
{{- range $pool.adapters -}}
  {{- if not (and .path $.forChecksum) -}}
    {{- $adapters = append $adapters (dict "name" .name "path" (include "firstword.adapterPath" .)) -}}
  {{- end -}}
{{- end -}}
{{- $engineArgs := dict -}}
{{- if $pool.gpu.enabled -}}
  {{- $_ := set $engineArgs "tensor_parallel_size" (int $pool.gpu.count) -}}
{{- end -}}
{{- if gt (int $pool.nodes) 1 -}}
  {{- $_ := set $engineArgs "pipeline_parallel_size" (int $pool.nodes) -}}
{{- end -}}
{{- if and $pool.isHub $pool.model.revision -}}
  {{- $_ := set $engineArgs "revision" $pool.model.revision -}}
  {{- $_ := set $engineArgs "tokenizer_revision" $pool.model.revision -}}
{{- end -}}
{{- $config := dict
  "host" "0.0.0.0"
  "port" (include "firstword.port" . | int)
  "metrics_port" (include "firstword.metricsPort" . | int)
  "metrics_on_main_port" false
  "log_format" "json"
  "api_keys_file" "/etc/firstword/keys/keys.yaml"
  "model" $pool.model.name
  "model_aliases" $pool.model.aliases
  "adapters" $adapters
  "lameduck_s" $pool.lifecycle.lameduckSeconds
  "drain_timeout_s" $pool.lifecycle.drainSeconds
-}}
{{- with $pool.model.servedName -}}
  {{- $_ := set $config "served_model_name" . -}}
{{- end -}}
{{- $config = mustMergeOverwrite $config (deepCopy $pool.settings) -}}
{{- $_ := set $config "engine_args" (mustMergeOverwrite $engineArgs (deepCopy $pool.engineArgs)) -}}
{{- if and .forChecksum $pool.adapters (not (hasKey $config "max_adapters")) -}}
  {{- /* As Settings.effective_max_adapters: the first adapter and the ninth need new pods with a higher limit. */ -}}
  {{- $_ := set $config "max_adapters" (max 8 (len $pool.adapters)) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}
