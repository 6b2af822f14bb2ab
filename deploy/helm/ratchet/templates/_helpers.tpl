{{- define "ratchet.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 45 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 45 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "ratchet.selector" -}}
app.kubernetes.io/name: ratchet
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "ratchet.labels" -}}
{{ include "ratchet.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "ratchet.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- define "ratchet.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "ratchet.name" .) }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{/* How Kafka is reached: what the roles and the migration share. */}}
{{- define "ratchet.kafka" -}}
{{- $kafka := .Values.kafka }}
{{- $folder := "/etc/ratchet/kafka" }}
{{- $known := dict "RATCHET_KAFKA__BOOTSTRAP" $kafka.bootstrap "RATCHET_KAFKA__SECURITY_PROTOCOL" $kafka.securityProtocol }}
{{- with $kafka.sasl.mechanism }}{{ $_ := set $known "RATCHET_KAFKA__SASL_MECHANISM" . }}{{ end }}
{{- with $kafka.sasl.user }}{{ $_ := set $known "RATCHET_KAFKA__SASL_USER" . }}{{ end }}
{{- with $kafka.sasl.oauthTokenUrl }}{{ $_ := set $known "RATCHET_KAFKA__OAUTH_TOKEN_URL" . }}{{ end }}
{{- with $kafka.sasl.oauthClientId }}{{ $_ := set $known "RATCHET_KAFKA__OAUTH_CLIENT_ID" . }}{{ end }}
{{- with $kafka.sasl.oauthScope }}{{ $_ := set $known "RATCHET_KAFKA__OAUTH_SCOPE" . }}{{ end }}
{{- with $kafka.sasl.awsRegion }}{{ $_ := set $known "RATCHET_KAFKA__AWS_REGION" . }}{{ end }}
{{- if $kafka.tls.secretName }}
{{- with $kafka.tls.ca }}{{ $_ := set $known "RATCHET_KAFKA__CA_FILE" (printf "%s/%s" $folder .) }}{{ end }}
{{- with $kafka.tls.certificate }}{{ $_ := set $known "RATCHET_KAFKA__CERTIFICATE_FILE" (printf "%s/%s" $folder .) }}{{ end }}
{{- with $kafka.tls.key }}{{ $_ := set $known "RATCHET_KAFKA__KEY_FILE" (printf "%s/%s" $folder .) }}{{ end }}
{{- end }}
{{- toYaml $known }}
{{- end }}

{{/* Settings that are no secrets; what is given wins over what the chart knows. */}}
{{- define "ratchet.settings" -}}
{{- $known := merge (include "ratchet.kafka" . | fromYaml) (dict
  "RATCHET_KAFKA__TOPIC_PREFIX" .Values.kafka.topicPrefix
  "RATCHET_KAFKA__GROUP" .Values.kafka.group
  "RATCHET_KAFKA__PARTITIONS" (.Values.kafka.partitions | toString)
  "RATCHET_KAFKA__REPLICATION_FACTOR" (.Values.kafka.replicationFactor | toString)
  "RATCHET_ROLE__PROBE_BIND" (printf "0.0.0.0:%v" .Values.probePort)
  "RATCHET_INGRESS__BIND" "0.0.0.0:8080"
  "RATCHET_CONSOLE__BIND" "0.0.0.0:8081") }}
{{- toYaml (mergeOverwrite $known .Values.settings) }}
{{- end }}

{{/* What every container of ours may do: nothing. */}}
{{- define "ratchet.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- define "ratchet.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "ratchet.volumes" -}}
- name: home
  emptyDir: { sizeLimit: 64Mi }
- name: tmp
  emptyDir: { sizeLimit: 64Mi }
{{- with .Values.kafka.tls.secretName }}
- name: kafka-tls
  secret: { secretName: {{ . }}, defaultMode: 0440 }
{{- end }}
{{- end }}

{{- define "ratchet.volumeMounts" -}}
- { name: home, mountPath: /var/lib/ratchet }
- { name: tmp, mountPath: /tmp }
{{- if .Values.kafka.tls.secretName }}
- { name: kafka-tls, mountPath: /etc/ratchet/kafka, readOnly: true }
{{- end }}
{{- end }}

{{- define "ratchet.placement" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* Values that contradict each other are refused before anything is installed. */}}
{{- define "ratchet.check" -}}
{{- $drain := .Values.settings.RATCHET_ROLE__DRAIN_SECONDS_MAX | default "14" | float64 }}
{{- range $role, $one := .Values.roles }}
{{- if ge (addf $drain ($one.preStopSeconds | float64) 2.0) ($.Values.terminationGracePeriodSeconds | float64) }}
{{- fail (printf "roles.%s: a pause of %v s, a drain of %v s and 2 s to leave do not fit under terminationGracePeriodSeconds=%v; raise it" $role $one.preStopSeconds $drain $.Values.terminationGracePeriodSeconds) }}
{{- end }}
{{- end }}
{{- if and .Values.image.digestRequired (not .Values.image.digest) }}
{{- fail "image.digestRequired: name the image by image.digest=sha256:.. (docker buildx imagetools inspect shows it)" }}
{{- end }}
{{- range $role, $one := .Values.roles }}
{{- if and $one.enabled (not (or $one.secretName $.Values.secretName)) }}
{{- fail (printf "roles.%s has no Secret; set roles.%s.secretName, or secretName for one that all roles see" $role $role) }}
{{- end }}
{{- end }}
{{- $kafka := .Values.kafka }}
{{- if ne (hasPrefix "SASL_" $kafka.securityProtocol) (ne $kafka.sasl.mechanism "") }}
{{- fail (printf "kafka.securityProtocol=%v and kafka.sasl.mechanism=%q do not fit; SASL_... takes a mechanism, the others none" $kafka.securityProtocol $kafka.sasl.mechanism) }}
{{- end }}
{{- if ne (eq $kafka.sasl.mechanism "AWS_MSK_IAM") (ne $kafka.sasl.awsRegion "") }}
{{- fail (printf "kafka.sasl.mechanism=%q and kafka.sasl.awsRegion=%q do not fit; AWS_MSK_IAM takes a region, the others none" $kafka.sasl.mechanism $kafka.sasl.awsRegion) }}
{{- end }}
{{- range $name, $value := dict "RATCHET_KAFKA__TOPIC_PREFIX" "kafka.topicPrefix" "RATCHET_KAFKA__GROUP" "kafka.group" }}
{{- if hasKey $.Values.settings $name }}
{{- fail (printf "settings.%s: set %s instead, which KEDA has to know too" $name $value) }}
{{- end }}
{{- end }}
{{- if and $kafka.tls.secretName (not (hasSuffix "SSL" $kafka.securityProtocol)) }}
{{- fail (printf "kafka.tls.secretName is for TLS, but kafka.securityProtocol is %v; set that to SSL or SASL_SSL" $kafka.securityProtocol) }}
{{- end }}
{{- if or (ne (empty $kafka.tls.certificate) (empty $kafka.tls.key)) (and $kafka.tls.key (not $kafka.tls.secretName)) }}
{{- fail "kafka.tls: mutual TLS takes certificate, key and secretName, all of them" }}
{{- end }}
{{- if and .Values.keda.enabled (gt (int .Values.keda.maxReplicas) (int .Values.kafka.partitions)) }}
{{- fail (printf "keda.maxReplicas=%v is above kafka.partitions=%v; the consumers above it would stand idle" .Values.keda.maxReplicas .Values.kafka.partitions) }}
{{- end }}
{{- end }}
